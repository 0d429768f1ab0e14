"""Which values compare with each other. There is no coercion; an enum compares as text."""

from datetime import date

from outbound.domain.condition import Literal, Value, ValueType, value_type
from outbound.domain.source import Span
from outbound.engine.conditions.text import literal_text, value_text

_WORDS = {
    ValueType.STRING: "text",
    ValueType.ENUM: "text",
    ValueType.NUMBER: "a number",
    ValueType.BOOL: "true or false",
    ValueType.DATE: "a date",
}


def type_word(kind: ValueType) -> str:
    """How messages name a type."""
    return _WORDS[kind]


def comparable(left: Value, right: Value) -> bool:
    """Whether both sides have one type."""
    return _plain(value_type(left)) is _plain(value_type(right))


def mismatch(left: Value, right: Value) -> tuple[Span, str, str]:
    """Where to point, the sentence and the way to write it, for two sides of different types."""
    place, other = (left, right) if isinstance(left, Literal) and not isinstance(right, Literal) else (right, left)
    subject, constant = value_type(other), place
    message = f"{value_text(other)} is {type_word(subject)} but {value_text(place)} is {type_word(value_type(place))}"
    hint = _rewrite(constant, subject) if isinstance(constant, Literal) else "both sides need one type"
    return place.span, message, hint


def _rewrite(constant: Literal, wanted: ValueType) -> str:
    value = constant.value
    if wanted is ValueType.ENUM:
        return "write one of its values in quotes"
    if wanted is ValueType.STRING:
        return f"write '{literal_text(value)}'"
    if isinstance(value, str):
        if wanted is ValueType.DATE and _is_date(value):
            return f"write {value} without quotes"
        if wanted is ValueType.NUMBER and value.removeprefix("-").replace(".", "", 1).isdecimal():
            return f"write {value} without quotes"
        if wanted is ValueType.BOOL and value.lower() in {"true", "false"}:
            return f"write {value.lower()} without quotes"
    return {
        ValueType.DATE: "write a date as 2026-12-31",
        ValueType.NUMBER: "write a number",
        ValueType.BOOL: "write true or false",
    }[wanted]


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _plain(kind: ValueType) -> ValueType:
    return ValueType.STRING if kind is ValueType.ENUM else kind
