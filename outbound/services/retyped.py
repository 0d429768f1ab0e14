"""Whether values already stored are of the type an attribute is about to have."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from outbound.domain.condition import ValueType
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
