"""The condition language: `compile_clause` checks, `evaluate` answers, `explain` says why."""

from outbound.engine.conditions.check import compile_clause
from outbound.engine.conditions.clashes import clash
from outbound.engine.conditions.evaluate import evaluate
from outbound.engine.conditions.explain import Explanation, explain, render
from outbound.engine.conditions.facts import Facts, customer_values, needs_history
from outbound.engine.conditions.scope import RESERVED, Scope

__all__ = [
    "RESERVED",
    "Explanation",
    "Facts",
    "Scope",
    "clash",
    "compile_clause",
    "customer_values",
    "evaluate",
    "explain",
    "needs_history",
    "render",
]
