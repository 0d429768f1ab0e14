"""Schedules: the days of an RFC 5545 rule, or one date, at a wall-clock time in one zone.

The rule is expanded over naive calendar days and each day is resolved in the zone afterwards, so daylight
saving can neither double nor lose an occurrence.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.policy import Policy
from outbound.domain.rule import ScheduleTrigger, Shift
from outbound.engine.timing.calendars import MAX_SHIFT, shift_day
from outbound.engine.timing.walls import resolve_wall, wall
from outbound.engine.timing.zones import zone_named

_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_EPOCH = date(2001, 1, 1)
"""A Monday, the first of a month and of a year: where a rule counts from that should have a ``start`` and has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One firing of a schedule in one zone.

    ``key`` is the period (``{period}``), ``day`` the day the rule names (``{date}``): both from before any
    shift to a working day, so that a shift never changes them. ``local`` is the naive wall time it fires at,
    ``instant`` the same in UTC.
    """

    key: str
    day: date
    local: datetime
    instant: datetime


def slots_between(
    trigger: ScheduleTrigger,
    *,
    zone: ZoneInfo,
    after: datetime,
    until: datetime,
    policy: Policy,
    country: str | None,
) -> list[Slot]:
    """The slots with ``after`` < instant <= ``until``, in order.

    A trigger with a zone of its own uses that one, whatever ``zone`` is. ``country`` decides the public
    holidays of ``trigger.calendar``. Several days that move to the same working day are one slot, that of the
    latest (as several missed periods collapse into the newest). Raises ValueError for a recurrence that is
    not RFC 5545 or is finer than a day, KeyError for a calendar the policy lacks; the loader refuses both.
    """
    zone = zone_named(trigger.zone) if trigger.zone else zone
    calendar = policy.calendars[trigger.calendar] if trigger.calendar else None
    # A day is room for any offset; a shifted day may come from as far back as a shift goes.
    first = wall(after, zone).date() - timedelta(days=1 + (MAX_SHIFT if calendar else 0))
    last = wall(until, zone).date() + timedelta(days=1)
    slots: dict[date, Slot] = {}
    for day in _nominal_days(trigger, first, last):
        actual = shift_day(day, calendar, country, Shift.NEXT)
        if actual is None:
            continue
        local = datetime.combine(actual, trigger.at)
        instant = resolve_wall(local, zone)
        if after < instant <= until:
            slots[actual] = Slot(key=_period(trigger, day), day=day, local=local, instant=instant)
    return sorted(slots.values(), key=lambda slot: slot.instant)


def period_key(day: date, frequency: str) -> str:
    """The period ``day`` lies in: 2026 (YEARLY), 2026-11 (MONTHLY), 2026-W45 (WEEKLY, ISO 8601), 2026-11-03 (DAILY)."""
    match frequency:
        case "YEARLY":
            return f"{day.year:04}"
        case "MONTHLY":
            return f"{day.year:04}-{day.month:02}"
        case "WEEKLY":
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        case _:
            return day.isoformat()


def frequency_of(recurrence: str) -> str:
    """FREQ of an RFC 5545 rule. Raises ValueError unless it is YEARLY, MONTHLY, WEEKLY or DAILY."""
    frequency = _parts(recurrence).get("FREQ", "")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(_FREQUENCIES)}")
    return frequency


def _parts(recurrence: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in recurrence.upper().removeprefix("RRULE:").split(";") if part)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _period(trigger: ScheduleTrigger, day: date) -> str:
    return period_key(day, frequency_of(trigger.recurrence) if trigger.recurrence else "DAILY")


def _nominal_days(trigger: ScheduleTrigger, first: date, last: date) -> tuple[date, ...]:
    """The days the trigger names between two days, both included, before any shift."""
    if trigger.on_date is not None:
        return (trigger.on_date,) if first <= trigger.on_date <= last else ()
    if not trigger.recurrence:
        return ()
    return _expand(trigger.recurrence, trigger.start, first, last)


@lru_cache(maxsize=1024)
def _expand(recurrence: str, start: date | None, first: date, last: date) -> tuple[date, ...]:
    """The days of a rule; cached because the zones of one planning share them."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - only schedules need it

    frequency = frequency_of(recurrence)
    parts = _parts(recurrence)
    if "UNTIL" in parts:
        # A day in the person's calendar, included; dateutil would want it in the zone of the start.
        parts["UNTIL"] = f"{parts['UNTIL'][:8]}T235959"
    counted = parts.get("INTERVAL", "1") != "1" or "COUNT" in parts
    begin = start or (_EPOCH if counted else _beginning(frequency, first))
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    days = rrulestr(text, dtstart=datetime.combine(begin, time.min))
    found = days.between(datetime.combine(first, time.min), datetime.combine(last, time.max), inc=True)
    # BYHOUR and the like could repeat a day; ``at`` alone decides the time.
    return tuple(dict.fromkeys(occurrence.date() for occurrence in found))


def _beginning(frequency: str, day: date) -> date:
    """The first day of the period of ``day``, which is when a rule without BYDAY and the like fires."""
    match frequency:
        case "YEARLY":
            return day.replace(month=1, day=1)
        case "MONTHLY":
            return day.replace(day=1)
        case "WEEKLY":
            return day - timedelta(days=day.weekday())
        case _:
            return day
