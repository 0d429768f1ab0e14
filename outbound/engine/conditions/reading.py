"""One condition being read: its text, where it stands in a file, and the problems found so far."""

from datetime import date
from typing import TYPE_CHECKING

from outbound.domain.condition import Literal
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.source import Problem, Severity, Span
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.grammar import Mark
from outbound.engine.conditions.scope import did_you_mean

if TYPE_CHECKING:
    from lark import Token

    from outbound.engine.conditions.grammar import Node

MAX_DIGITS = 15
"""Numbers compare as IEEE 754 doubles, which hold 15 decimal digits exactly."""

_UNITS = {
    DurationUnit.MINUTE: "minutes",
    DurationUnit.HOUR: "hours",
    DurationUnit.DAY: "days",
    DurationUnit.WEEK: "weeks",
    DurationUnit.MONTH: "months",
}


class Reading:
    """Turns marks in the text into spans of the file, and tokens into constants."""

    def __init__(self, text: str, span: Span) -> None:
        self.text = text
        self.span = span
        self.problems: list[Problem] = []

    def at(self, mark: Mark) -> Span:
        """Where the piece stands in the file; a piece over several lines is marked to the end of its first.

        Every line of a block scalar is indented like its first, so its lines all start in the same column.
        """
        before = self.text[: mark.start]
        line = before.count("\n")
        column = mark.start - (before.rfind("\n") + 1)
        piece = self.text[mark.start : mark.start + mark.width]
        width = len(piece.split("\n", 1)[0])
        return Span(self.span.file, self.span.line + line, self.span.column + column, max(1, width))

    def span_of(self, node: "Node") -> Span:
        """The span of a node of the parse tree."""
        return self.at(mark_of(node))

    def report(self, span: Span, code: Code, message: str, suggestion: str = "") -> None:
        """Note an error."""
        self.problems.append(Problem(span=span, message=message, code=code, suggestion=suggestion))

    def warn(self, span: Span, code: Code, message: str, suggestion: str = "") -> None:
        """Note a warning."""
        problem = Problem(span=span, message=message, code=code, suggestion=suggestion, severity=Severity.WARNING)
        self.problems.append(problem)

    def literal(self, token: "Token") -> Literal | None:
        """The constant a token stands for, or None when it is not one (reported)."""
        span = self.span_of(token)
        text = str(token)
        match token.type:
            case "TEXT":
                return Literal(text[1:-1].replace("''", "'"), span)
            case "NUMBER":
                return self._number(text, span)
            case "DATE":
                return self._date(text, span)
            case _:
                unit = text.lstrip("-0123456789.")
                suggestion = f"write {text.removesuffix(unit)}" if unit in set(DurationUnit) else ""
                self.report(
                    span, Code.CONDITION_TYPE, f"{text} is not a value; durations stand only after within", suggestion
                )
                return None

    def _number(self, text: str, span: Span) -> Literal | None:
        if sum(character.isdigit() for character in text) > MAX_DIGITS:
            self.report(
                span, Code.CONDITION_VALUE, f"{text} has more than {MAX_DIGITS} digits", "write an id in single quotes"
            )
            return None
        return Literal(float(text) if "." in text else int(text), span)

    def _date(self, text: str, span: Span) -> Literal | None:
        try:
            year, month, day = (int(part) for part in text.split("-"))
            value = date(year, month, day)
        except ValueError:
            self.report(span, Code.CONDITION_VALUE, f"{text} is not a day of the calendar", "write dates as 2026-12-31")
            return None
        if value.isoformat() != text:
            self.report(
                span, Code.CONDITION_VALUE, f"{text} is not how a date is written", f"write {value.isoformat()}"
            )
            return None
        return Literal(value, span)

    def window(self, node: "Node") -> Duration | None:
        """The duration after ``within``, or None when it is not one (reported)."""
        span = self.span_of(node)
        text = str(node) if getattr(node, "type", "") in {"DURATION", "NUMBER"} else ""
        if not text:
            self.report(span, Code.CONDITION_VALUE, "within needs a duration", "write within 7d")
            return None
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
        unit = next((unit for unit in _UNITS if unit == text[len(digits) :]), None)
        if unit is None:
            suggestion = _unit_hint(digits, text[len(digits) :])
            self.report(span, Code.CONDITION_VALUE, f"'{text}' is not a duration", suggestion)
            return None
        if not digits.isdecimal() or int(digits) == 0:
            self.report(
                span, Code.CONDITION_VALUE, f"'{text}' is not a window", "write a whole number above 0, such as 7d"
            )
            return None
        duration = Duration(int(digits), unit)
        if _days(duration) > _LONGEST_DAYS:
            self.report(span, Code.CONDITION_VALUE, f"{text} is longer than 100 years", "leave within out to mean ever")
            return None
        return duration


_LONGEST_DAYS = 36_600
_DAYS = {
    DurationUnit.MINUTE: 1 / 1440,
    DurationUnit.HOUR: 1 / 24,
    DurationUnit.DAY: 1.0,
    DurationUnit.WEEK: 7.0,
    DurationUnit.MONTH: 30.5,
}


def _days(duration: Duration) -> float:
    return duration.amount * _DAYS[duration.unit]


def _unit_hint(digits: str, unit: str) -> str:
    if not unit:
        return f"say the unit: {digits}m, {digits}h, {digits}d, {digits}w or {digits}mo"
    words = {word: short for short, long in _UNITS.items() for word in (long, long[:-1], long[:3])}
    words |= {"y": DurationUnit.MONTH, "year": DurationUnit.MONTH, "years": DurationUnit.MONTH}
    if unit.lower() in {"y", "year", "years"} and digits.isdecimal():
        return f"write {int(digits) * 12}mo"
    short = words.get(unit.lower())
    return (
        f"write {digits}{short}" if short else did_you_mean(unit, _UNITS) or "write m, h, d, w or mo after the number"
    )


def mark_of(node: "Node") -> Mark:
    """The piece of text a node of the parse tree covers."""
    from lark import Token  # noqa: PLC0415 - lark is loaded only where a condition is read

    if isinstance(node, Token):
        return Mark(node.start_pos or 0, len(node))
    return Mark(node.meta.start_pos, node.meta.end_pos - node.meta.start_pos)
