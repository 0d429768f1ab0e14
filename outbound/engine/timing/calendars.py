"""Working days: weekends, public holidays of a country, extra days off."""

from datetime import date, timedelta
from functools import lru_cache

from outbound.domain.policy import Calendar
from outbound.domain.rule import Shift

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The names policy.yaml uses, by ``date.weekday()``."""

MAX_SHIFT = 31
"""The farthest a day off moves, in days. A calendar with a longer gap has no working day to move to."""

_DAY = timedelta(days=1)


@lru_cache(maxsize=2048)
def public_holidays(country: str, year: int) -> frozenset[date]:
    """The nationwide public holidays of a country (ISO 3166-1 code); empty where the calendar of it is not known."""
    import holidays  # noqa: PLC0415 - 0.3 s to import; only rules with holidays need it

    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        return frozenset()


def is_holiday(day: date, country: str | None) -> bool:
    """Whether ``day`` is a public holiday in ``country``; never when the country is unknown."""
    return country is not None and day in public_holidays(country, day.year)


def is_working_day(day: date, calendar: Calendar, country: str | None) -> bool:
    """Whether people of ``country`` work on ``day`` under ``calendar``."""
    if WEEKDAYS[day.weekday()] in calendar.weekend or day in calendar.extra:
        return False
    return not (calendar.holidays and is_holiday(day, country))


def shift_day(day: date, calendar: Calendar | None, country: str | None, shift: Shift) -> date | None:
    """``day`` itself when it is a working day, else the next or previous one; None when none lies within MAX_SHIFT."""
    if calendar is None:
        return day
    towards = _DAY if shift is Shift.NEXT else -_DAY
    for _ in range(MAX_SHIFT + 1):
        if is_working_day(day, calendar, country):
            return day
        day += towards
    return None


def days_shifted_to(day: date, calendar: Calendar | None, country: str | None, shift: Shift) -> tuple[date, ...]:
    """Every day that ``shift_day`` moves to ``day``, itself first: the days off it makes up for. Empty on a day off."""
    if calendar is None:
        return (day,)
    if not is_working_day(day, calendar, country):
        return ()
    found = [day]
    away = -_DAY if shift is Shift.NEXT else _DAY
    while len(found) <= MAX_SHIFT and not is_working_day(found[-1] + away, calendar, country):
        found.append(found[-1] + away)
    return tuple(found)
