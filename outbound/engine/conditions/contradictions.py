"""Finds tests of one value that exclude each other (``and``) or leave nothing out (``or``).

``plan == 'free' and plan == 'pro'`` is never true; ``plan != 'free' or plan != 'pro'`` always is, and is the
usual slip for ``and``. Only tests against constants are looked at: what is reported is certain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from outbound.domain.condition import Compare, Condition, In, Literal, Not, Path, Truth, Value
from outbound.engine.conditions.scope import Scope
from outbound.engine.conditions.text import value_text

_NEGATED = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(slots=True)
class _Allowed:
    """What the tests of one value still allow."""

    only: set[Any] | None = None
    never: set[Any] = field(default_factory=set)
    low: tuple[Any, bool] | None = None
    high: tuple[Any, bool] | None = None
    tests: int = 0

    def narrow(self, op: str, constants: set[Any]) -> None:
        """Apply one more test: ``==`` any of, ``!=`` all of, or an order."""
        self.tests += 1
        match op:
            case "==":
                self.only = constants if self.only is None else self.only & constants
            case "!=":
                self.never |= constants
            case "<" | "<=":
                bound = (min(constants), op == "<=")
                self.high = bound if self.high is None else min(self.high, bound)
            case _:
                low = (max(constants), op == ">")  # the open bound is the narrower one, hence the greater
                self.low = low if self.low is None else max(self.low, low)

    def nothing(self) -> bool:
        """Whether no value is left."""
        if self.only is not None:
            return not any(self._inside(constant) for constant in self.only - self.never)
        if self.low is None or self.high is None:
            return False
        (low, open_low), (high, closed_high) = self.low, self.high
        return bool(low > high or (low == high and (open_low or not closed_high or low in self.never)))

    def _inside(self, constant: Any) -> bool:
        above = self.low is None or constant > self.low[0] or (constant == self.low[0] and not self.low[1])
        below = self.high is None or constant < self.high[0] or (constant == self.high[0] and self.high[1])
        return above and below


def contradiction(parts: Sequence[Condition], scope: Scope) -> str:
    """The value whose tests among ``parts`` cannot all hold, or nothing."""
    return _exhausted(parts, scope, negated=False)


def tautology(parts: Sequence[Condition], scope: Scope) -> str:
    """The value of which every instance passes one of ``parts``, or nothing."""
    return _exhausted(parts, scope, negated=True)


def _exhausted(parts: Sequence[Condition], scope: Scope, *, negated: bool) -> str:
    allowed: dict[str, _Allowed] = {}
    for part in parts:
        found = _constraint(part, negated=negated)
        if found is None:
            continue
        value, op, constants = found
        subject = value_text(value)
        if subject not in allowed:
            members = scope.members(value) if isinstance(value, Path) else ()
            allowed[subject] = _Allowed(only=set(members) if members else None)
        allowed[subject].narrow(op, constants)
    return next((subject for subject, left in allowed.items() if left.tests > 1 and left.nothing()), "")


def _constraint(condition: Condition, *, negated: bool) -> tuple[Value, str, set[Any]] | None:
    """The test as value, operator and constants, negated on request; None for any other shape."""
    match condition:
        case Not():
            return _constraint(condition.part, negated=not negated)
        case Compare(op=op, left=left, right=Literal() as right) if not isinstance(left, Literal):
            return left, _NEGATED[op] if negated else op, {right.value}
        case Compare(op=op, left=Literal() as left, right=right) if not isinstance(right, Literal):
            mirrored = _MIRRORED[op]
            return right, _NEGATED[mirrored] if negated else mirrored, {left.value}
        case In() if not isinstance(condition.value, Literal):
            op = "!=" if condition.negated != negated else "=="
            return condition.value, op, {option.value for option in condition.options}
        case Truth() if not isinstance(condition.value, Literal):
            return condition.value, "==", {not negated}
        case _:
            return None
