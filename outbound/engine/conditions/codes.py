"""The problem codes of conditions: short, stable, each explained in docs/conditions.md."""

from enum import StrEnum


class Code(StrEnum):
    """What is wrong, in one word. Tools and tests rely on these; sentences may improve."""

    CONDITION_SYNTAX = "condition-syntax"
    CONDITION_TYPE = "condition-type"
    CONDITION_VALUE = "condition-value"
    CONDITION_SIZE = "condition-size"
    UNKNOWN_ATTRIBUTE = "unknown-attribute"
    UNKNOWN_EVENT = "unknown-event"
    UNKNOWN_SEGMENT = "unknown-segment"
    UNKNOWN_VALUE = "unknown-value"
    NEEDS_JOURNEY = "needs-journey"
    MAY_BE_MISSING = "may-be-missing"
    CONSTANT_PART = "constant-part"
    UNREACHABLE_PART = "unreachable-part"
