"""The condition language: check (`compile_clause`), evaluate, explain."""

from outbound.engine.conditions.check import compile_clause
from outbound.engine.conditions.scope import RESERVED, Scope

__all__ = ["RESERVED", "Scope", "compile_clause"]
