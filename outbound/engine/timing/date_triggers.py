"""Date triggers: which customers are due on a local day, as predicates on their date attribute.

Asked the other way round than the rule is written: not "when does this customer's reminder fire" but "whose
fires today", so that one indexed query per zone finds them all.
"""

from calendar import isleap, monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Policy
from outbound.domain.rule import DateTrigger, Feb29
from outbound.engine.timing.calendars import days_shifted_to
from outbound.engine.timing.walls import step

_ON_THE_DAY = (Duration(0, DurationUnit.DAY),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTarget:
    """The customers due with one offset.

    With ``month_days`` empty: those whose attribute is ``day``. Else (``every: year``): those whose attribute
    is ``day`` or earlier with one of ``month_days`` (``11-22``) as its last five characters. ``day`` is the
    value of ``{date}`` and its year that of ``{year}``: the anniversary, not the day it fires on.
    """

    offset: Duration
    day: date
    month_days: tuple[str, ...] = ()

    def matches(self, value: date) -> bool:
        """Whether a customer with this attribute value is due: the reference for the SQL of it."""
        if self.month_days:
            return value <= self.day and value.isoformat()[5:] in self.month_days
        return value == self.day


def date_targets(trigger: DateTrigger, *, local_day: date, policy: Policy, country: str | None) -> list[DateTarget]:
    """Who is due on ``local_day`` at ``trigger.at``, one target per offset and date.

    The firing day (date plus offset) moves off days off as ``trigger.shift`` says; ``country`` decides the
    public holidays. Raises KeyError for a calendar the policy lacks, ValueError for an offset that is not
    days, weeks or months; the loader refuses both.
    """
    calendar = policy.calendars[trigger.calendar] if trigger.calendar else None
    targets: list[DateTarget] = []
    for firing in days_shifted_to(local_day, calendar, country, trigger.shift):
        for offset in trigger.offsets or _ON_THE_DAY:
            for day in _days_before(firing, offset):
                if not trigger.every_year:
                    targets.append(DateTarget(offset=offset, day=day))
                elif month_days := _anniversaries(day, trigger.feb29):
                    targets.append(DateTarget(offset=offset, day=day, month_days=month_days))
    return targets


def _days_before(firing: date, offset: Duration) -> Iterator[date]:
    """The days to which adding ``offset`` gives ``firing``; with months none to four (28 Feb is 28..31 Jan + 1mo)."""
    back = step(firing, Duration(-offset.amount, offset.unit))
    if offset.unit is not DurationUnit.MONTH:
        yield back
        return
    for day in range(1, monthrange(back.year, back.month)[1] + 1):
        candidate = back.replace(day=day)
        if step(candidate, offset) == firing:
            yield candidate


def _anniversaries(day: date, feb29: Feb29 | None) -> tuple[str, ...]:
    """The month-days whose anniversary is ``day``. A 29 February has one each year, or none in common years (skip)."""
    own = day.isoformat()[5:]
    if not isleap(day.year) and ((own == "02-28" and feb29 is Feb29.FEB28) or (own == "03-01" and feb29 is Feb29.MAR1)):
        return (own, "02-29")
    return (own,)
