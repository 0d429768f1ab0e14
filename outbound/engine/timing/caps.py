"""When a cap opens: how long a contact counts, and the moment at which one more fits (rules.md 1.9, fault C32).

A calendar cap counts the contacts of the period, as the customer's clocks have it: a day of 23 or 25 hours is a
day. A rolling cap counts those of the last so many hours; the window is half-open, so a contact that is exactly
as old as the window is long has dropped out.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import CalendarPeriod, Cap
from outbound.engine.timing.quiet import NEVER
from outbound.engine.timing.walls import add, local_day, start_of_day, step, utc

_MONTH = Duration(1, DurationUnit.MONTH)
_WEEK = 7


def opens_at(contacts: Sequence[datetime], cap: Cap, *, at: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant (UTC) from which one more contact fits under ``cap``; None when it fits at ``at``.

    ``contacts`` are the instants of what the cap counts already. A cap of nothing never opens.
    """
    if cap.max < 1:
        return NEVER
    if len(contacts) < cap.max:
        return None
    ends = sorted((counts_until(contact, cap.per, zone) for contact in contacts), reverse=True)
    opening = ends[cap.max - 1]
    return opening if opening > at else None


@lru_cache(maxsize=16_384)
def counts_until(contact: datetime, per: CalendarPeriod | Duration, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) at which a contact no longer counts. Raises ValueError when ``contact`` is naive.

    Cached, because those who got the same newsletter were contacted at the same moment.
    """
    if isinstance(per, Duration):
        return add(contact, per, zone)
    return period_end(contact, per, zone)


def period_end(instant: datetime, period: CalendarPeriod, zone: ZoneInfo) -> datetime:
    """The first instant (UTC) of the calendar period after the one that ``instant`` lies in.

    Where clocks are set back across midnight the evening before is repeated; it belongs to the period that had
    begun, so that periods follow each other without a gap or an overlap.
    """
    instant = utc(instant)
    first = _next_first(local_day(instant, zone), period)
    while (end := _start(first, zone)) <= instant:
        first = _next_first(first, period)
    return end


@lru_cache(maxsize=4096)
def _start(day: date, zone: ZoneInfo) -> datetime:
    return start_of_day(day, zone)


def _next_first(day: date, period: CalendarPeriod) -> date:
    """The first day of the period after the one that ``day`` is in."""
    match period:
        case CalendarPeriod.DAY:
            return day + timedelta(days=1)
        case CalendarPeriod.WEEK:
            return day + timedelta(days=_WEEK - day.weekday())
        case CalendarPeriod.MONTH:
            return step(day.replace(day=1), _MONTH)
        case CalendarPeriod.YEAR:
            return date(day.year + 1, 1, 1)
