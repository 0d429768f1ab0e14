"""Where a window that ends now begins. Both engines of conditions use it, so both count the same events."""

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.durations import Duration, DurationUnit

_MONTHS = 12
_DAYS = {DurationUnit.DAY: 1, DurationUnit.WEEK: 7}


@lru_cache(maxsize=1024)
def window_start(now: datetime, within: Duration, zone: ZoneInfo) -> datetime:
    """The instant (UTC) that ``within`` reaches back to from ``now``: the window is (start, now].

    Minutes and hours elapse; days, weeks and months are calendar steps at the same wall-clock time in
    ``zone``. A wall time that a clock change leaves out is the first valid instant after it, a repeated one
    is its first occurrence. A month that lacks the day ends on its last day.
    """
    elapsed = within.elapsed
    if elapsed is not None:
        return now - elapsed
    local = now.astimezone(zone).replace(tzinfo=None, fold=0)
    if within.unit is DurationUnit.MONTH:
        earlier = datetime.combine(_months_back(local.date(), within.amount), local.time())
    else:
        earlier = local - timedelta(days=within.amount * _DAYS[within.unit])
    return _instant(earlier, zone)


def _months_back(day: date, months: int) -> date:
    index = day.year * _MONTHS + day.month - 1 - months
    year, month = divmod(index, _MONTHS)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant whose wall clock in ``zone`` shows ``local``, or the first one after a gap."""
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return instant
    # In a gap fold=1 gives the offset after the change, which lands before it: the change lies in between.
    before, after = local.replace(tzinfo=zone, fold=1).astimezone(UTC), instant
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(microseconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
