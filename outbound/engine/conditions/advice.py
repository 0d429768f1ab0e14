"""Warnings about conditions that are legal but hardly meant: missing values under negation, constant parts."""

from outbound.domain.condition import Condition
from outbound.engine.conditions.constants import warn_constant
from outbound.engine.conditions.missing import warn_missing
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import Scope


def advise(condition: Condition, reading: Reading, scope: Scope) -> None:
    """Add every warning about ``condition`` to the reading."""
    warn_missing(condition, reading, event=scope.event)
    warn_constant(condition, reading, scope)
