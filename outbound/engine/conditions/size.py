"""How large a condition is with its segments written out: both engines walk all of it."""

from outbound.domain.condition import (
    And,
    Compare,
    Condition,
    Count,
    Default,
    Happened,
    In,
    InSegment,
    Lower,
    Not,
    Or,
    Truth,
    Value,
)

MAX_PARTS = 400
"""The most tests and list values in one condition. SQLite reads no expression deeper than 1,000."""

MAX_LEVELS = 40
"""The deepest nesting with segments written out."""


def parts_of(condition: Condition) -> tuple[int, int]:
    """Number of tests and list values, and levels of nesting, segments written out.

    Segments are compiled under the same limits, so the walk is bounded.
    """
    match condition:
        case And() | Or():
            sizes = [parts_of(part) for part in condition.parts]
            return sum(parts for parts, _ in sizes), 1 + max(levels for _, levels in sizes)
        case Not():
            parts, levels = parts_of(condition.part)
            return parts, levels + 1
        case InSegment():
            parts, levels = parts_of(condition.condition)
            return parts, levels + 1
        case Happened():
            parts, levels = (0, 0) if condition.where is None else parts_of(condition.where)
            return parts + 1, levels + 1
        case In():
            parts, levels = _value(condition.value)
            return parts + len(condition.options), levels
        case Compare():
            left, right = _value(condition.left), _value(condition.right)
            return 1 + left[0] + right[0], max(left[1], right[1])
        case Truth():
            parts, levels = _value(condition.value)
            return parts + 1, levels
        case _:
            return 1, 1


def _value(value: Value) -> tuple[int, int]:
    match value:
        case Count():
            parts, levels = (0, 0) if value.where is None else parts_of(value.where)
            return parts, levels + 1
        case Default():
            left, right = _value(value.left), _value(value.right)
            return 1 + left[0] + right[0], 1 + max(left[1], right[1])
        case Lower():
            parts, levels = _value(value.value)
            return parts, levels + 1
        case _:
            return 0, 1
