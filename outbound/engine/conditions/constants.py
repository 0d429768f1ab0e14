"""Warns about parts of a condition that are always true or never true: hardly what was meant."""

from outbound.domain.condition import Condition
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import Scope


def warn_constant(condition: Condition, reading: Reading, scope: Scope) -> None:
    """Warn about each constant part."""
