"""Occurrences of one rule that come together: on one day, or after a pause at one moment. Warned about, not refused."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations, pairwise
from typing import Final

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Calendar
from outbound.domain.rule import DateTrigger, ScheduleTrigger, Shift
from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.recurrence_days import days_of
from outbound.engine.rulefiles.triggers import ReadTrigger
from outbound.engine.rulefiles.world import World
from outbound.engine.timing.calendars import shift_day

_MONDAY: Final = date(2024, 1, 1)
_WEEK: Final = 7
_YEARS: Final = (365, 366)
_DAYS: Final = {
    DurationUnit.SECOND: 1 / 86_400,
    DurationUnit.MINUTE: 1 / 1_440,
    DurationUnit.HOUR: 1 / 24,
    DurationUnit.DAY: 1.0,
    DurationUnit.WEEK: 7.0,
}


def warn_same_days(
    when: Node, read: ReadTrigger, findings: Findings, world: World, *, catch_up: Duration | None, late: Span
) -> None:
    """Warn about occurrences that meet. ``when`` is the trigger as written, ``late`` the place of ``catch_up``."""
    trigger = read.trigger
    name = trigger.calendar if isinstance(trigger, ScheduleTrigger | DateTrigger) else None
    found = world.policy.calendars.get(name) if world.policy and name else None
    calendar = (
        replace(found, holidays=False, extra=frozenset()) if found and len(found.weekend) < _WEEK else None
    )  # every week, not just some year
    if isinstance(trigger, ScheduleTrigger) and read.recurrence and calendar:
        days = days_of(read.recurrence.rule, trigger.start)
        for first, second in pairwise(days):
            if shift_day(first, calendar, None, Shift.NEXT) == shift_day(second, calendar, None, Shift.NEXT):
                message = f"{first} and {second} move to the same working day: two messages on one day"
                hint = "name only working days in the schedule, or remove the calendar"
                findings.warning(Code.SAME_DAY, _place(when, "calendar"), message, hint)
                return
    if isinstance(trigger, DateTrigger):
        _offsets(when, trigger, calendar, findings)
        if catch_up is not None:
            _late(trigger, catch_up, late, findings)


def _offsets(when: Node, trigger: DateTrigger, calendar: Calendar | None, findings: Findings) -> None:
    for one, other in combinations(sorted(trigger.offsets, key=_days), 2):
        apart = round(_days(other) - _days(one))
        if trigger.every_year and apart in _YEARS:
            message = f"{other} of one year and {one} of the next fall on the same day"
            findings.warning(Code.SAME_DAY, _place(when, "offset"), message, "remove one")
        elif calendar and _meet(round(_days(one)), round(_days(other)), calendar, trigger.shift):
            message = f"{one} and {other} can move to the same working day"
            findings.warning(Code.SAME_DAY, _place(when, "offset"), message, "leave more days between them")


def _late(trigger: DateTrigger, catch_up: Duration, late: Span, findings: Findings) -> None:
    for one, following in pairwise(sorted(trigger.offsets, key=_days)):
        apart = round(_days(following) - _days(one))
        if _days(catch_up) > apart:
            message = f"catch_up {catch_up} after {one} reaches past the next offset, {following}"
            findings.warning(Code.OFFSETS, late, message, f"write {apart}d or less: both would leave at once")
            return


def _meet(one: int, other: int, calendar: Calendar, shift: Shift) -> bool:
    """Whether two offsets from some day of the week end on one working day; holidays are not looked at."""
    week = [_MONDAY + timedelta(days=number) for number in range(_WEEK)]
    ends = ((day + timedelta(days=one), day + timedelta(days=other)) for day in week)
    return any(shift_day(x, calendar, None, shift) == shift_day(y, calendar, None, shift) for x, y in ends)


def _days(duration: Duration) -> float:
    return duration.amount * _DAYS[duration.unit]


def _place(when: Node, key: str) -> Span:
    node = when.get(key) if isinstance(when, MapNode) else None
    return (node or when).span
