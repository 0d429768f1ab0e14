"""A condition written out again, in one canonical form: explanations and warnings quote it."""

from datetime import date
from decimal import Decimal

from outbound.domain.condition import (
    And,
    Compare,
    Condition,
    Count,
    DaysSince,
    DaysUntil,
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
    Status,
    Truth,
    Value,
)


def condition_text(condition: Condition) -> str:
    """The condition as a person would type it."""
    match condition:
        case Compare():
            return f"{_operand(condition.left)} {condition.op} {_operand(condition.right)}"
        case In():
            word = "not in" if condition.negated else "in"
            return f"{_operand(condition.value)} {word} [{', '.join(value_text(o) for o in condition.options)}]"
        case Truth():
            return value_text(condition.value)
        case Has():
            return f"has({value_text(condition.path)})"
        case Happened():
            return f"happened({_event_text(condition)})"
        case InSegment():
            return f"segment.{condition.name}"
        case Not():
            return f"not {_grouped(condition.part)}"
        case And():
            return " and ".join(_grouped(part) for part in condition.parts)
        case Or():
            return " or ".join(_grouped(part) for part in condition.parts)


def value_text(value: Value) -> str:
    """The value as a person would type it."""
    match value:
        case Literal():
            return literal_text(value.value)
        case Path():
            return f"{value.root}.{value.name}"
        case Default():
            return f"{_operand(value.left)} ?? {_operand(value.right)}"
        case Lower():
            return f"lower({value_text(value.value)})"
        case DaysUntil():
            return f"days_until({value_text(value.path)})"
        case DaysSince():
            return f"days_since({value_text(value.path)})"
        case Count():
            return f"count({_event_text(value)})"
        case Status():
            return f"status({value.step})"


def literal_text(constant: object) -> str:
    """A constant as conditions write it: ``'text'``, ``12.5``, ``true``, ``2026-12-31``."""
    match constant:
        case bool():
            return "true" if constant else "false"
        case str():
            return "'" + constant.replace("'", "''") + "'"
        case date():
            return constant.isoformat()
        case float():
            return format(Decimal(repr(constant)), "f")  # never 1e-05: the grammar has no exponents
        case _:
            return str(constant)


def _operand(value: Value) -> str:
    return f"({value_text(value)})" if isinstance(value, Default) else value_text(value)


def _grouped(condition: Condition) -> str:
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, And | Or) else text


def _event_text(event: Happened | Count) -> str:
    parts = [event.event]
    if event.where is not None:
        parts.append(f"where {condition_text(event.where)}")
    if event.within is not None:
        parts.append(f"within {event.within}")
    if event.since_entry:
        parts.append("since entry")
    return ", ".join(parts)
