"""Values and types: whether what is stored fits a type, and what a text spells as one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, assert_never

from outbound.domain.condition import ValueType
from outbound.domain.customer import Scalar
from outbound.domain.rule import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """How many stored values of an attribute are not of its type, and the first customer that has one."""

    count: int
    example: str


def stored_misfits(stored: Iterable[Any], fields: Mapping[str, Field]) -> dict[str, Misfit]:
    """The misfits by attribute. ``stored`` are (customer id, attributes) pairs; a missing value always fits."""
    found: dict[str, Misfit] = {}
    for customer_id, attributes in stored:
        for name in fields.keys() & attributes.keys():
            if not fits(attributes[name], fields[name]):
                before = found.get(name)
                count = before.count + 1 if before else 1
                found[name] = Misfit(count=count, example=before.example if before else customer_id)
    return found


def fits(value: Any, field: Field) -> bool:
    """Whether a JSON value is what ``field`` holds. None is a missing value."""
    if value is None:
        return True
    match field.type:
        case ValueType.BOOL:
            return isinstance(value, bool)
        case ValueType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ValueType.STRING:
            return isinstance(value, str)
        case ValueType.ENUM:
            return isinstance(value, str) and value in field.values
        case ValueType.DATE:
            return isinstance(value, str) and _is_date(value)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def converted(value: Scalar, kind: ValueType) -> Scalar:
    """``value`` as ``kind``, or None when it is no such thing. Text may spell a number, a date, true or false."""
    match kind:
        case ValueType.STRING | ValueType.ENUM:
            return value if isinstance(value, str) else None
        case ValueType.NUMBER:
            return _number(value)
        case ValueType.BOOL:
            return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
        case ValueType.DATE:
            return _date(value)
        case _:
            assert_never(kind)


def _number(value: Scalar) -> Scalar:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    try:
        number = float(value)
    except ValueError:
        return None
    if number != number or number in (float("inf"), float("-inf")):  # noqa: PLR0124 - that is how NaN is told
        return None
    return int(number) if number.is_integer() else number


def _date(value: Scalar) -> Scalar:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None
