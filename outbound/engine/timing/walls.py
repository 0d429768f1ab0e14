"""Wall-clock times and instants (rules.md 1.9, "Time zones and DST").

A wall time in a gap means the first valid instant after it (02:30 on 29 March 2026 in Rome is 03:00). A wall
time that is repeated means its first occurrence. Python itself is no help here: two aware datetimes of one
zone compare and subtract by their wall clocks (K12), so everything is computed in UTC.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.durations import Duration, DurationUnit

_SECOND = timedelta(seconds=1)


def resolve_wall(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant (UTC) meant by the naive wall time ``local`` in ``zone``.

    Raises ValueError when ``local`` is aware.
    """
    return occurrences(local, zone)[0]


@lru_cache(maxsize=16_384)
def occurrences(local: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Every instant (UTC, ascending) at which clocks in ``zone`` read ``local``: one, or two on a repeated hour.

    In a gap no clock ever reads it; the answer is then the first valid instant alone. Cached, because whoever plans
    for many people asks about the same few mornings. Raises ValueError when ``local`` is aware.
    """
    if local.tzinfo is not None:
        raise ValueError("a wall time has no zone of its own")
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return (first, second)
    # In a gap zoneinfo reads fold=0 with the offset before it and fold=1 with the one after it, which puts
    # the two instants on either side of the change.
    return (_change_between(second, first, zone),)


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant with the offset of ``after``, to the second (tzdata knows nothing finer)."""
    offset = after.astimezone(zone).utcoffset()
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high


def utc(instant: datetime) -> datetime:
    """``instant`` in UTC. Raises ValueError when it is naive, where Python would take this machine's zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant must carry its offset")
    return instant.astimezone(UTC)


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """What clocks in ``zone`` read at ``instant``, naive. Raises ValueError when ``instant`` is naive."""
    if instant.tzinfo is None:
        raise ValueError("an instant must carry its offset")
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The calendar day in ``zone`` at ``instant``. Raises ValueError when ``instant`` is naive."""
    return wall(instant, zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of ``day`` in ``zone``; 01:00 where clocks skip midnight (Santiago, Cairo)."""
    return resolve_wall(datetime.combine(day, time.min), zone)


def add(instant: datetime, duration: Duration, zone: ZoneInfo) -> datetime:
    """``instant`` plus ``duration``, in UTC.

    Seconds, minutes and hours elapse; days, weeks and months keep the wall time: ``24h`` after 21:00 on the eve
    of a change is not 21:00, ``1d`` after it is. Months end on the last day where the target month is shorter
    (31 January + 1mo = 28 February). Raises ValueError when ``instant`` is naive.
    """
    start = wall(instant, zone)
    if duration.elapsed is not None:
        return utc(instant) + duration.elapsed
    if duration.amount == 0:
        return utc(instant)
    return resolve_wall(datetime.combine(step(start.date(), duration), start.time()), zone)


def step(day: date, duration: Duration) -> date:
    """``day`` plus a calendar duration. Raises ValueError for one that elapses (``48h`` from a day means nothing)."""
    match duration.unit:
        case DurationUnit.DAY:
            return day + timedelta(days=duration.amount)
        case DurationUnit.WEEK:
            return day + timedelta(weeks=duration.amount)
        case DurationUnit.MONTH:
            years, month = divmod(day.year * 12 + day.month - 1 + duration.amount, 12)
            return date(years, month + 1, min(day.day, monthrange(years, month + 1)[1]))
        case _:
            raise ValueError(f"{duration} is not a number of days, weeks or months")
