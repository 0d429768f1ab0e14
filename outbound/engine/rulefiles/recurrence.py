"""The RFC 5545 rule of a schedule: every part in its place, and what the rule does over the years."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from dateutil.rrule import rrulestr

from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ScalarNode
from outbound.engine.rulefiles.recurrence_days import CYCLE_YEARS, Recurrence, days_of
from outbound.engine.rulefiles.values import parse_date

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

_COMMON = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYDAY", "BYSETPOS")
_ALLOWED: Final = {
    "DAILY": (*_COMMON, "BYMONTHDAY"),
    "WEEKLY": _COMMON,
    "MONTHLY": (*_COMMON, "BYMONTHDAY"),
    "YEARLY": (*_COMMON, "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"),
}
"""RFC 5545 section 3.3.10: which parts a frequency takes (those finer than a day are `at`)."""
_RANGES: Final = {
    "INTERVAL": (1, 1000),
    "COUNT": (1, 10000),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
}
_SINGLE: Final = frozenset({"INTERVAL", "COUNT"})
_ELSEWHERE: Final = {
    **dict.fromkeys(("BYHOUR", "BYMINUTE", "BYSECOND"), 'the time of day is `at: "HH:MM"`'),
    "DTSTART": "the first day is `start: DATE`",
    "TZID": "the zone is `tz`",
}


_MONTH_LENGTHS: Final = {2: 28, **dict.fromkeys((4, 6, 9, 11), 30), **dict.fromkeys((1, 3, 5, 7, 8, 10, 12), 31)}
"""In the shortest of years."""
_FIRST_DAYS: Final = {
    "WEEKLY": ("Mondays", "add BYDAY=MO"),
    "MONTHLY": ("the first of the month", "add BYMONTHDAY=1"),
    "YEARLY": ("1 January", "add BYMONTH=1;BYMONTHDAY=1"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRule:
    """A recurrence in its canonical spelling, with the places a later complaint points at."""

    text: str
    rule: Recurrence
    span: Span
    monthdays: Span


def read_recurrence(node: ScalarNode, findings: Findings) -> WrittenRule | None:
    """The rule in ``node``, or None after reporting what is wrong with it."""
    before = findings.errors
    places: dict[str, tuple[str, int]] = {}
    offset = 0
    for piece in node.text.split(";"):
        name, separator, value = piece.partition("=")
        name = name.strip().upper()
        if not separator or not value.strip():
            hint = "write it like FREQ=MONTHLY;BYDAY=1TU, or a date like 2026-11-27"
            findings.error(
                Code.BAD_SCHEDULE, node.place(offset, len(piece)), "a schedule is an RFC 5545 rule or a date", hint
            )
            return None
        if name in places:
            findings.error(Code.BAD_SCHEDULE, node.place(offset, len(piece)), f"{name} stands twice", "remove one")
        places[name] = (value.strip().upper(), offset)
        offset += len(piece) + 1
    if "FREQ" not in places:
        findings.error(
            Code.BAD_SCHEDULE, node.span, "a schedule needs FREQ", "start it with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY"
        )
        return None
    frequency, where = places["FREQ"]
    if frequency not in _ALLOWED:
        hint = "a rule fires at most once a day" if frequency in ("HOURLY", "MINUTELY", "SECONDLY") else ""
        hint = hint or did_you_mean(frequency, _ALLOWED)
        findings.error(Code.BAD_SCHEDULE, node.place(where + 5, len(frequency)), f"unknown FREQ '{frequency}'", hint)
        return None
    reader = _PartReader(node, findings, frequency)
    for name, (value, start) in places.items():
        reader.read(name, value, start)
    if findings.errors > before:
        return None
    reader.combinations()
    text = ";".join(f"{name}={value}" for name, (value, _) in places.items())
    try:
        rrulestr(text, dtstart=None)
    except (ValueError, TypeError) as error:  # whatever else RFC 5545 forbids
        findings.error(Code.BAD_SCHEDULE, node.span, f"not an RFC 5545 rule: {error}")
    if findings.errors > before:
        return None
    monthdays = places.get("BYMONTHDAY")
    return WrittenRule(
        text=text,
        rule=Recurrence(
            frequency=frequency,
            parts=tuple(sorted(reader.numbers.items())),
            days=tuple(reader.days),
            week_start=reader.week_start,
            until=reader.until,
        ),
        span=node.span,
        monthdays=node.place(monthdays[1], len(f"BYMONTHDAY={monthdays[0]}")) if monthdays else node.span,
    )


class _PartReader:
    """Reads the parts of one rule, each with its own complaint in its own place."""

    def __init__(self, node: ScalarNode, findings: Findings, frequency: str) -> None:
        self._node = node
        self._findings = findings
        self._frequency = frequency
        self.numbers: dict[str, tuple[int, ...]] = {}
        self.days: list[tuple[int, int]] = []
        self.week_start = 0
        self.until: date | None = None

    def read(self, name: str, value: str, start: int) -> None:
        """Read one ``NAME=VALUE`` that starts at ``start`` in the text."""
        whole = self._node.place(start, len(name) + 1 + len(value))
        if name in _ELSEWHERE:
            self._error(whole, f"{name} is not used here", _ELSEWHERE[name])
        elif name not in {part for parts in _ALLOWED.values() for part in parts}:
            self._error(
                self._node.place(start, len(name)), f"unknown part '{name}'", did_you_mean(name, _ALLOWED["YEARLY"])
            )
        elif name not in _ALLOWED[self._frequency]:
            self._error(whole, f"{name} does not go with FREQ={self._frequency}", "")
        elif name in _RANGES:
            self._numbers(name, value, whole)
        elif name == "BYDAY":
            self._weekdays(value, whole)
        elif name == "UNTIL":
            self.until = parse_date(f"{value[:4]}-{value[4:6]}-{value[6:]}")
            if self.until is None:
                self._error(whole, "UNTIL is the last day", "write it like UNTIL=20261231")
        elif name == "WKST":
            if value not in _DAYS:
                self._error(whole, "WKST is one weekday", f"known: {', '.join(_DAYS)}")
            else:
                self.week_start = _DAYS.index(value)

    def combinations(self) -> None:
        """Report parts that do not go together."""
        by_parts = [*(part for part in self.numbers if part.startswith("BY")), *(["BYDAY"] if self.days else [])]
        if "BYSETPOS" in self.numbers and len(by_parts) == 1:
            self._error(self._node.span, "BYSETPOS picks from another BY part", "add BYDAY, for example")
        if "COUNT" in self.numbers and self.until:
            self._error(self._node.span, "COUNT and UNTIL exclude each other", "remove one")
        if self._frequency == "DAILY" and self.numbers.get("INTERVAL", (1,)) != (1,) and by_parts:
            hint = "use FREQ=WEEKLY or FREQ=MONTHLY for it"
            self._error(self._node.span, f"FREQ=DAILY with INTERVAL does not go with {by_parts[0]}", hint)

    def _numbers(self, name: str, value: str, whole: Span) -> None:
        low, high = _RANGES[name]
        found = []
        for piece in value.split(","):
            number = int(piece) if re.fullmatch(r"[+-]?[0-9]{1,5}", piece) else 0
            if number == 0 or not low <= number <= high:
                self._error(whole, f"{name} takes numbers from {low} to {high}" + (", not 0" if low < 0 else ""), "")
                return
            found.append(number)
        if name in _SINGLE and len(found) > 1:
            self._error(whole, f"{name} takes one number", "")
            return
        self.numbers[name] = tuple(found)

    def _weekdays(self, value: str, whole: Span) -> None:
        for piece in value.split(","):
            match = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", piece)
            nth = int(match[1] or 0) if match else 0
            if not match or (match[1] and not 1 <= abs(nth) <= 53):  # noqa: PLR2004 -- weeks of a year
                self._error(whole, f"'{piece}' is not a weekday of BYDAY", "write it like MO, 1TU or -1FR")
                return
            if match[1] and self._frequency in ("DAILY", "WEEKLY"):
                self._error(whole, f"'{piece}' does not go with FREQ={self._frequency}", f"write {match[2]}")
                return
            self.days.append((nth, _DAYS.index(match[2])))
        if len({nth == 0 for nth, _ in self.days}) > 1:  # dateutil takes both together for neither
            self._error(whole, "BYDAY mixes weekdays with and without a number", "write 1MO,2MO,.. or another rule")

    def _error(self, span: Span, message: str, hint: str) -> None:
        self._findings.error(Code.BAD_SCHEDULE, span, message, hint)


def check_recurrence(written: WrittenRule, start: date | None, findings: Findings) -> None:
    """Report a rule without the start it needs, one that never fires, and days that short months lack."""
    rule = written.rule
    counted = [part for part, plain in (("INTERVAL", ((), (1,))), ("COUNT", ((),))) if rule.numbers(part) not in plain]
    for part in counted[:1]:
        if start is None:
            hint = "add start: DATE, the day it counts from"
            findings.error(Code.SCHEDULE_START, written.span, f"{part} needs 'start'", hint)
            return
    if not days_of(rule, start):
        message = f"this schedule has no day within {CYCLE_YEARS} years"
        findings.error(
            Code.NEVER_FIRES,
            written.span,
            message,
            "its parts" + (" and its start" if start else "") + " exclude each other",
        )
        return
    shortest = min(_MONTH_LENGTHS[month] for month in rule.numbers("BYMONTH") or _MONTH_LENGTHS)
    names_day = bool(rule.days) or any(part.startswith("BY") for part, _ in rule.parts)
    of_start = (start.day,) if start and rule.frequency == "MONTHLY" and not names_day else ()
    late = [number for number in (*rule.numbers("BYMONTHDAY"), *of_start) if abs(number) > shortest]
    if late:
        message = f"a month without {abs(late[0])} days is left out"
        findings.warning(Code.SHORT_MONTHS, written.monthdays, message, "write BYMONTHDAY=-1 for the last day")
    if start is None and not names_day and rule.frequency in _FIRST_DAYS:
        day, hint = _FIRST_DAYS[rule.frequency]
        findings.warning(Code.NO_DAY, written.span, f"no day is named, so it fires on {day}", hint)
