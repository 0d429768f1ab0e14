"""How the windows of two caps lie to each other, for the check that finds a cap nobody ever reaches.

A calendar period is the current one; a rolling window is any stretch of its length. Days may have 23 to 25 hours.
"""

from typing import Final

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import CalendarPeriod

_D, _W, _M, _Y = CalendarPeriod.DAY, CalendarPeriod.WEEK, CalendarPeriod.MONTH, CalendarPeriod.YEAR
_PIECES: Final = {
    (_D, _W): 1,
    (_D, _M): 1,
    (_D, _Y): 1,
    (_W, _D): 7,
    (_W, _M): 2,
    (_W, _Y): 2,
    (_M, _D): 31,
    (_M, _W): 6,
    (_M, _Y): 1,
    (_Y, _D): 366,
    (_Y, _W): 54,
    (_Y, _M): 12,
}
"""How many of the second period one of the first touches at most."""

_PERIOD_DAYS: Final = {_D: (1, 1), _W: (7, 7), _M: (28, 31), _Y: (365, 366)}
_UNIT_HOURS: Final = {DurationUnit.SECOND: 1 / 3600, DurationUnit.MINUTE: 1 / 60, DurationUnit.HOUR: 1.0}
_UNIT_DAYS: Final = {DurationUnit.DAY: (1, 1), DurationUnit.WEEK: (7, 7), DurationUnit.MONTH: (28, 31)}

Span = CalendarPeriod | Duration


def same_span(first: Span, second: Span) -> bool:
    """Whether both mean the same stretch: ``1w`` is ``7d`` and ``60m`` is ``1h``, but ``24h`` is not ``1d``."""
    return _plain(first) == _plain(second)


def windows_to_cover(inner: Span, outer: Span) -> int | None:
    """The number of ``outer`` windows that always hold everything of one ``inner`` window, or None: not countable.

    1 means: what counts for ``inner`` now counts for ``outer`` now, too.
    """
    if isinstance(inner, CalendarPeriod) and isinstance(outer, CalendarPeriod):
        return _PIECES.get((inner, outer))
    plain_inner, plain_outer = _plain(inner), _plain(outer)
    if isinstance(plain_inner, tuple) and isinstance(plain_outer, tuple) and plain_inner[1] == plain_outer[1]:
        return -int(-plain_inner[0] // plain_outer[0])
    longest, shortest = _hours(inner)[1], _hours(outer)[0]
    if shortest <= 0:
        return None
    windows = -int(-longest // shortest)
    # A rolling window lies across the borders of calendar periods.
    return windows + 1 if isinstance(outer, CalendarPeriod) else windows


def _plain(span: Span) -> CalendarPeriod | tuple[float, str]:
    """A duration in hours, days or months, whichever keeps its meaning."""
    if isinstance(span, CalendarPeriod):
        return span
    if span.unit in _UNIT_HOURS:
        return (round(span.amount * _UNIT_HOURS[span.unit], 6), "h")
    if span.unit is DurationUnit.MONTH:
        return (float(span.amount), "mo")
    return (float(span.amount * _UNIT_DAYS[span.unit][0]), "d")


def _hours(span: Span) -> tuple[float, float]:
    """The shortest and the longest that a span can be."""
    if isinstance(span, CalendarPeriod):
        low, high = _PERIOD_DAYS[span]
        return (24 * low - 1, 24 * high + 1)
    if span.unit in _UNIT_HOURS:
        exact = span.amount * _UNIT_HOURS[span.unit]
        return (exact, exact)
    low, high = _UNIT_DAYS[span.unit]
    return (24 * low * span.amount - 1, 24 * high * span.amount + 1)
