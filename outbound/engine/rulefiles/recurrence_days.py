"""The days an RFC 5545 rule names, over one full cycle of the calendar (28 years).

A rule that never fires must be refused at once; an ordinary expansion would search for its first day until the
year 9999. tests/engine/rulefiles/test_recurrence_days.py compares the days with dateutil's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Final

from outbound.engine.timing.recurrence import period_key

CYCLE_YEARS: Final = 28
_EPOCH: Final = date(2024, 1, 1)
"""Where a rule without ``start`` is counted from: a Monday, the first of a month and of a year."""
_MIDDLE: Final = timedelta(days=3)
_DECEMBER: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A checked rule: the numbers of each part, and BYDAY as (nth or 0, weekday from Monday 0)."""

    frequency: str
    parts: tuple[tuple[str, tuple[int, ...]], ...] = ()
    days: tuple[tuple[int, int], ...] = ()
    week_start: int = 0
    until: date | None = None

    def numbers(self, part: str) -> tuple[int, ...]:
        """The values of a part, empty where it is not written."""
        return next((numbers for name, numbers in self.parts if name == part), ())


@lru_cache(maxsize=4096)
def twice_in_a_period(rule: Recurrence, start: date | None) -> tuple[date, date] | None:
    """The first two days of the rule that share one ``{period}``. Cached like the days themselves."""
    days = days_of(rule, start)
    for first, second in pairwise(days):
        if period_key(first, rule.frequency) == period_key(second, rule.frequency):
            return first, second
    return None


@lru_cache(maxsize=4096)
def days_of(rule: Recurrence, start: date | None) -> tuple[date, ...]:
    """Every day the rule names within 28 years of ``start``, ascending (RFC 5545 section 3.3.10).

    Cached, because many rules of a set share one schedule.
    """
    begin = start or _EPOCH
    interval = (rule.numbers("INTERVAL") or (1,))[0]
    named = _Filter(rule, begin)
    found: list[date] = []
    for period, days in groupby(_calendar(begin), key=lambda day: _period_number(day, begin, rule)):
        if period < 0 or period % interval:
            continue
        # As dateutil does: a first week begins with the first day, a first month or year with its own.
        chosen = [day for day in days if named(day) and (rule.frequency != "WEEKLY" or day >= begin)]
        if rule.numbers("BYSETPOS"):
            picked = {chosen[p - 1 if p > 0 else p] for p in rule.numbers("BYSETPOS") if abs(p) <= len(chosen)}
            chosen = sorted(picked)
        found.extend(day for day in chosen if day >= begin and (rule.until is None or day <= rule.until))
    count = rule.numbers("COUNT")
    return tuple(found[: count[0]] if count else found)


def _calendar(begin: date) -> Iterator[date]:
    """All days of the years of a full cycle, from the first of January of the first."""
    day = date(begin.year, 1, 1)
    while day.year <= begin.year + CYCLE_YEARS:
        yield day
        day += timedelta(days=1)


def _period_number(day: date, begin: date, rule: Recurrence) -> int:
    """How many periods of the frequency lie between ``begin`` and ``day``."""
    match rule.frequency:
        case "YEARLY":
            return day.year - begin.year
        case "MONTHLY":
            return (day.year - begin.year) * 12 + day.month - begin.month
        case "WEEKLY":
            # Day 1 of the proleptic calendar is a Monday, so this counts weeks that begin on ``week_start``.
            return (day.toordinal() - 1 - rule.week_start) // 7 - (begin.toordinal() - 1 - rule.week_start) // 7
        case _:
            return day.toordinal() - begin.toordinal()


class _Filter:
    """Whether the BY parts name a day, with the first day filling in what the rule leaves open."""

    def __init__(self, rule: Recurrence, begin: date) -> None:
        self._months = frozenset(rule.numbers("BYMONTH"))
        self._monthdays = frozenset(rule.numbers("BYMONTHDAY"))
        self._yeardays = frozenset(rule.numbers("BYYEARDAY"))
        self._weeks = frozenset(rule.numbers("BYWEEKNO"))
        self._days = rule.days
        if not (self._monthdays or self._yeardays or self._weeks or self._days):
            if rule.frequency == "WEEKLY":
                self._days = ((0, begin.weekday()),)
            elif rule.frequency in ("MONTHLY", "YEARLY"):
                self._monthdays = frozenset({begin.day})
            if rule.frequency == "YEARLY" and not self._months:
                self._months = frozenset({begin.month})
        self._nth_in_month = rule.frequency == "MONTHLY" or bool(rule.numbers("BYMONTH"))
        self._week_start = rule.week_start

    def __call__(self, day: date) -> bool:
        if self._months and day.month not in self._months:
            return False
        if self._monthdays and not {day.day, day.day - _month_length(day) - 1} & self._monthdays:
            return False
        if self._yeardays and not {_yearday(day), _yearday(day) - _year_length(day) - 1} & self._yeardays:
            return False
        if self._weeks and not self._in_weeks(day):
            return False
        return not self._days or any(self._is_nth(day, nth, weekday) for nth, weekday in self._days)

    def _is_nth(self, day: date, nth: int, weekday: int) -> bool:
        if day.weekday() != weekday:
            return False
        if nth == 0:
            return True
        number = day.day if self._nth_in_month else _yearday(day)
        length = _month_length(day) if self._nth_in_month else _year_length(day)
        return nth == (number + 6) // 7 if nth > 0 else -nth == (length - number) // 7 + 1

    def _in_weeks(self, day: date) -> bool:
        year, number = self._week(day)
        _, last = self._week(date(year, _DECEMBER, 28))  # always in the last week
        return bool({number, number - last - 1} & self._weeks)

    def _week(self, day: date) -> tuple[int, int]:
        """(year, week) as ISO 8601 counts them, but with weeks that begin on ``week_start``."""
        middle = day - timedelta(days=(day.weekday() - self._week_start) % 7) + _MIDDLE
        return middle.year, (_yearday(middle) + 6) // 7


def _yearday(day: date) -> int:
    return day.timetuple().tm_yday


def _month_length(day: date) -> int:
    following = date(day.year + day.month // _DECEMBER, day.month % _DECEMBER + 1, 1)
    return (following - timedelta(days=1)).day


def _year_length(day: date) -> int:
    return _yearday(date(day.year, _DECEMBER, 31))
