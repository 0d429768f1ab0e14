"""The condition tree: one parse, compiled to SQL, to Python and to an explanation (rules.md section 2).

Three-valued: a missing value makes a comparison unknown, and unknown never matches.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from outbound.domain.durations import Duration
from outbound.domain.source import Span


class ValueType(StrEnum):
    """The types of schema.yaml. An enum compares as a string but its literals must be members."""

    STRING = "string"
    ENUM = "enum"
    NUMBER = "number"
    BOOL = "bool"
    DATE = "date"


class Root(StrEnum):
    """What a path starts at."""

    CUSTOMER = "customer"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: text, number, bool, date or duration."""

    value: str | float | int | bool | date | Duration
    span: Span


@dataclass(frozen=True, slots=True)
class Path:
    """``customer.plan`` or ``event.total``; ``type`` comes from the schema, ``required`` too."""

    root: Root
    name: str
    span: Span
    type: ValueType = ValueType.STRING
    required: bool = False


@dataclass(frozen=True, slots=True)
class Default:
    """``left ?? right``: right where left is missing."""

    left: "Value"
    right: "Value"
    span: Span


@dataclass(frozen=True, slots=True)
class Lower:
    """``lower(value)``."""

    value: "Value"
    span: Span


@dataclass(frozen=True, slots=True)
class DaysUntil:
    """Calendar days from today (customer's zone) to the date; negative once past."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class DaysSince:
    """Calendar days from the date to today (customer's zone)."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Count:
    """How often ``event`` happened to the customer, ``where`` true, within the window that ends now."""

    event: str
    where: "Condition | None"
    within: Duration | None
    since_entry: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Status:
    """State of an earlier journey step."""

    step: str
    span: Span


Value = Literal | Path | Default | Lower | DaysUntil | DaysSince | Count | Status


@dataclass(frozen=True, slots=True)
class Compare:
    """``left op right`` with op one of == != < <= > >=."""

    op: str
    left: Value
    right: Value
    span: Span


@dataclass(frozen=True, slots=True)
class In:
    """``value in [..]``, or ``not in`` when ``negated``."""

    value: Value
    options: tuple[Literal, ...]
    negated: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean value standing alone (``customer.is_adult``)."""

    value: Value
    span: Span


@dataclass(frozen=True, slots=True)
class Has:
    """The value is present."""

    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Happened:
    """``count(...) >= 1``, cheaper."""

    event: str
    where: "Condition | None"
    within: Duration | None
    since_entry: bool
    span: Span


@dataclass(frozen=True, slots=True)
class InSegment:
    """The customer satisfies a named segment; ``condition`` is the segment's own, resolved at load."""

    name: str
    condition: "Condition"
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """Kleene negation: not unknown is unknown."""

    part: "Condition"
    span: Span


@dataclass(frozen=True, slots=True)
class And:
    """All of ``parts``."""

    parts: tuple["Condition", ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Or:
    """Any of ``parts``."""

    parts: tuple["Condition", ...]
    span: Span


Condition = Compare | In | Truth | Has | Happened | InSegment | Not | And | Or


@dataclass(frozen=True, slots=True)
class Clause:
    """One line of ``who`` or ``if``: the condition and the text marketing wrote, explained separately."""

    condition: Condition
    text: str
    span: Span


def value_type(value: Value) -> ValueType:
    """The type a value compares as; an enum stays an enum until it meets text."""
    match value:
        case Path():
            return value.type
        case Default():
            return value_type(value.left)
        case Lower() | Status():
            return ValueType.STRING
        case DaysUntil() | DaysSince() | Count():
            return ValueType.NUMBER
        case Literal():
            return literal_type(value.value)


def literal_type(constant: str | float | bool | date | Duration) -> ValueType:
    """The type of a constant. Durations are no values; they stand only after ``within``."""
    match constant:
        case bool():
            return ValueType.BOOL
        case int() | float():
            return ValueType.NUMBER
        case date():
            return ValueType.DATE
        case str():
            return ValueType.STRING
        case _:
            raise TypeError(f"{constant} is not a value")
