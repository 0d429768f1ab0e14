"""Warns about parts of a condition that are always true or never true: hardly what was meant."""

import operator
from collections.abc import Callable
from typing import Any

from outbound.domain.condition import (
    And,
    Compare,
    Condition,
    Count,
    Default,
    Happened,
    Has,
    In,
    InSegment,
    Literal,
    Lower,
    Not,
    Or,
    Path,
    Truth,
    Value,
)
from outbound.domain.lowercase import lower
from outbound.domain.source import Span
from outbound.engine.conditions.clashes import clash, covered, one_holds
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.contradictions import tautology
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import Scope
from outbound.engine.conditions.text import condition_text, literal_text, value_text

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def warn_constant(condition: Condition, reading: Reading, scope: Scope) -> None:
    """Warn about each constant part. Segments are judged where they stand."""
    match condition:
        case And() | Or():
            for part in condition.parts:
                warn_constant(part, reading, scope)
            _warn_junction(condition, reading, scope)
        case Not():
            warn_constant(condition.part, reading, scope)
        case _:
            _warn_test(condition, reading, scope)
            for value in _values(condition):
                _warn_default(value, reading)
            for where in _wheres(condition):
                warn_constant(where, reading, scope)


def _warn_junction(condition: And | Or, reading: Reading, scope: Scope) -> None:
    if isinstance(condition, And):
        reason = clash(condition.parts, scope)
        if reason and not any(isinstance(p, InSegment) and clash([p], scope) for p in condition.parts):
            _say(reading, condition.span, f"{reason}, so this is never true", "did you mean or?")
        return
    subject = tautology(condition.parts, scope)
    either = one_holds(condition.parts)
    known = "so this is true whenever it is known"
    if subject:
        message = f"every value of {subject} passes one of these tests, {known}"
        _say(reading, condition.span, message, "did you mean and?")
    elif either:
        _say(reading, condition.span, f"{either}, {known}", "did you mean and?")
    for part, wider in covered(condition.parts):
        message = f"{condition_text(part)} adds nothing: it is true only where {condition_text(wider)} is"
        reading.warn(part.span, Code.UNREACHABLE_PART, message, "remove it, or did you mean and?")


def _warn_test(condition: Condition, reading: Reading, scope: Scope) -> None:
    match condition:
        case Compare():
            _warn_compare(condition, reading)
        case In():
            _warn_in(condition, reading, scope)
        case Truth(value=Literal() as constant):
            message = f"{condition_text(condition)} is {_verdict(constant.value)}"
            _say(reading, condition.span, message, "remove it")
        case Has(path=path) if path.required:
            message = f"{value_text(path)} is required, so {condition_text(condition)} is always true"
            _say(reading, condition.span, message, "remove it")


def _warn_compare(condition: Compare, reading: Reading) -> None:
    left, op, right = condition.left, condition.op, condition.right
    text = condition_text(condition)
    if isinstance(left, Literal) and isinstance(right, Literal):
        holds = _OPERATORS[op](left.value, right.value)
        message = f"{text} compares two constants and is {_verdict(holds)}"
        _say(reading, condition.span, message, _unquoted(left) or _unquoted(right) or "compare with customer.x")
        return
    if value_text(left) == value_text(right):
        _say(reading, condition.span, f"{text} compares a value with itself", "compare with something else")
        return
    if isinstance(left, Literal):
        left, op, right = right, _MIRRORED.get(op, op), left
    if not isinstance(right, Literal):
        return
    if isinstance(left, Lower):
        _warn_capitals(left, right, reading)
    if isinstance(left, Count) and isinstance(right.value, int | float):
        verdict = _count_verdict(op, right.value)
        if verdict is not None:
            _say(
                reading,
                condition.span,
                f"a count is a whole number from 0, so {text} is {_verdict(verdict)}",
                "write >= 1",
            )


def _warn_in(condition: In, reading: Reading, scope: Scope) -> None:
    value, text = condition.value, condition_text(condition)
    if isinstance(value, Literal):
        holds = (value.value in {option.value for option in condition.options}) is not condition.negated
        message = f"{text} compares constants and is {_verdict(holds)}"
        _say(reading, condition.span, message, _unquoted(value) or "compare with customer.x")
        return
    seen = set()
    for option in condition.options:
        if option.value in seen:
            _say(reading, option.span, f"{literal_text(option.value)} is listed twice", "remove one")
        seen.add(option.value)
        if isinstance(value, Lower):
            _warn_capitals(value, option, reading)
    members = scope.members(value) if isinstance(value, Path) else ()
    if members and seen.issuperset(members):
        verdict = "never true" if condition.negated else f"true whenever {value_text(value)} is known"
        message = f"the list holds every value of {value_text(value)}, so this is {verdict}"
        _say(
            reading,
            condition.span,
            message,
            f"write has({value_text(value)})" if not condition.negated else "remove it",
        )


def _warn_capitals(value: Lower, constant: Literal, reading: Reading) -> None:
    if isinstance(constant.value, str) and lower(constant.value) != constant.value:
        small = literal_text(lower(constant.value))
        message = f"{value_text(value)} has no capitals, so it never equals {literal_text(constant.value)}"
        _say(reading, constant.span, message, f"write {small}")


def _warn_default(value: Value, reading: Reading) -> None:
    match value:
        case Default():
            left = value.left
            if isinstance(left, Path) and left.required:
                message = f"{value_text(left)} is required, so its default is never used"
                _say(reading, value.span, message, f"write {value_text(left)}")
            elif isinstance(left, Literal | Count):
                _say(
                    reading,
                    value.span,
                    f"{value_text(left)} is never missing, so its default is never used",
                    "remove it",
                )
            _warn_default(left, reading)
        case Lower():
            _warn_default(value.value, reading)


def _count_verdict(op: str, number: float) -> bool | None:
    """Whether ``count op number`` is decided for every whole number from 0."""
    if number != int(number) or number < 0:
        return {"==": False, "!=": True}.get(op, (op in {">", ">="}) if number < 0 else None)
    if number == 0:
        return {">=": True, "<": False}.get(op)
    return None


def _values(condition: Condition) -> tuple[Value, ...]:
    match condition:
        case Compare():
            return (condition.left, condition.right)
        case In() | Truth():
            return (condition.value,)
        case _:
            return ()


def _wheres(condition: Condition) -> list[Condition]:
    sources = (condition, *_values(condition))
    return [source.where for source in sources if isinstance(source, Happened | Count) and source.where is not None]


def _unquoted(constant: Literal) -> str:
    """The advice for a path somebody put into quotes."""
    value = constant.value
    if isinstance(value, str) and value.startswith(("customer.", "event.", "segment.")):
        return f"write {value} without quotes"
    return ""


def _verdict(holds: object) -> str:
    return "always true" if holds else "never true"


def _say(reading: Reading, span: Span, message: str, hint: str) -> None:
    reading.warn(span, Code.CONSTANT_PART, message, hint)
