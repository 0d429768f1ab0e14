"""Quiet hours: when nothing may leave because people sleep, rest or asked for silence (C27-C31, F49).

Four things make a moment quiet: the policy's hours for the country, its closed days, the customer's own hours,
and the customer's pauses. A moment is open only when none of them holds in any zone the person may be in.
Whether it is quiet is read off the wall clock alone, so a repeated hour is quiet both times.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.customer import OwnQuietHours, Pause
from outbound.domain.policy import Policy, QuietHours
from outbound.engine.timing.calendars import WEEKDAYS, is_holiday
from outbound.engine.timing.walls import occurrences, start_of_day, utc, wall

NEVER = datetime(9999, 12, 30, tzinfo=UTC)
"""Stands for an opening beyond the calendar. A day is left so that every zone can still express it."""

_MAX_PASSES = 128
_CLOSED_WORDS = frozenset((*WEEKDAYS, "holidays"))
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """All that makes a person's time quiet.

    ``zones`` are all the person may be in; ``hours`` the policy's; ``country`` decides which days are holidays;
    ``own`` and ``pauses`` are the customer's wishes and only ever add silence.
    """

    zones: tuple[ZoneInfo, ...]
    hours: QuietHours | None = None
    country: str | None = None
    own: OwnQuietHours | None = None
    pauses: tuple[Pause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """It is quiet until ``until`` (UTC). ``why``: "" policy hours, ``closed`` day, ``own`` hours, ``pause``."""

    until: datetime
    why: str


def hours_for(policy: Policy, country: str | None) -> QuietHours | None:
    """The policy's quiet hours for a country: its own entry, else ``default``, else none."""
    hours = policy.quiet_hours.get(country) if country else None
    return hours or policy.quiet_hours.get("default")


def quiet_until(now: datetime, silence: Silence) -> datetime | None:
    """The next opening (UTC) when ``now`` is quiet, None when it is open. See ``quiet_at``."""
    quiet = quiet_at(now, silence)
    return None if quiet is None else quiet.until


def quiet_at(now: datetime, silence: Silence) -> Quiet | None:
    """Whether ``now`` is quiet in any zone, why, and until when; None when it is open in all of them.

    When the zones share no opening in the coming weeks, ``until`` is merely a time before which there is
    none: ask again then. Raises ValueError when ``now`` is naive or there is no zone.
    """
    now = utc(now)
    if not any(mark.second or mark.microsecond for mark in _marks(silence)):
        # Offsets are whole minutes too: the answer stays the same within a minute, so it is worth keeping.
        now = now.replace(second=0, microsecond=0)
    return _quiet_at(now, silence)


def _marks(silence: Silence) -> tuple[time, ...]:
    hours, own = silence.hours, silence.own
    return (*((hours.start, hours.end) if hours else ()), *((own.start, own.end) if own else ()))


@lru_cache(maxsize=8192)
def _quiet_at(now: datetime, silence: Silence) -> Quiet | None:
    """Jump from closed stretch to closed stretch, each time to the latest end in any zone, until nothing is closed."""
    if not silence.zones:
        raise ValueError("without a zone nobody knows whether it is quiet")
    until = now
    why: str | None = None
    for _ in range(_MAX_PASSES):
        stops = [stop for zone in silence.zones if (stop := _stop(until, zone, silence))]
        if not stops:
            break
        why = stops[0][1] if why is None else why
        end = max(end for end, _ in stops)
        if end <= until:
            break
        until = end
    return None if why is None else Quiet(until=until, why=why)


def _stop(instant: datetime, zone: ZoneInfo, silence: Silence) -> tuple[datetime, str] | None:
    """The end of one stretch that makes ``instant`` quiet in one zone, and what it is."""
    local = wall(instant, zone)
    day, clock = local.date(), local.time()
    hours, own = silence.hours, silence.own
    if hours is not None and in_range(clock, hours.start, hours.end):
        return _next_reading(hours.end, after=instant, zone=zone), ""
    if hours is not None and hours.closed and _closed(day, hours.closed, silence.country):
        return _day_after(day, zone), "closed"
    if own is not None and in_range(clock, own.start, own.end):
        return _next_reading(own.end, after=instant, zone=zone), "own"
    last = max((pause.end for pause in silence.pauses if pause.start <= day <= pause.end), default=None)
    return None if last is None else (_day_after(last, zone), "pause")


def in_range(clock: time, start: time, end: time) -> bool:
    """Whether a wall-clock time lies in [start, end), across midnight where ``start`` is later.

    Equal ends are the whole day: the loader refuses them for a policy (C31), and closed is the safe reading.
    """
    if start < end:
        return start <= clock < end
    return clock >= start or clock < end


def _closed(day: date, closed: frozenset[str], country: str | None) -> bool:
    """Whether nothing leaves on ``day``. A word nobody knows closes every day rather than none."""
    if WEEKDAYS[day.weekday()] in closed or not closed <= _CLOSED_WORDS:
        return True
    return "holidays" in closed and is_holiday(day, country)


def _day_after(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of the day after ``day``, NEVER at the end of the calendar."""
    return start_of_day(day + _DAY, zone) if day < NEVER.date() - _DAY else NEVER


def _next_reading(clock: time, *, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant later than ``after`` at which clocks in ``zone`` read ``clock``, or skip it.

    On a repeated hour ``after`` may lie between the two readings; then it is the second.
    """
    day = wall(after, zone).date()
    if day >= NEVER.date() - _DAY:
        return NEVER
    today, tomorrow = datetime.combine(day, clock), datetime.combine(day + _DAY, clock)
    readings = (*occurrences(today, zone), *occurrences(tomorrow, zone))
    return next(reading for reading in readings if reading > after)
