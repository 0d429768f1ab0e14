"""Conditions compiled to closures over Kleene's three values: True, False and None for unknown.

The tree is walked once; what remains per customer is a handful of calls. The shapes rules are made of
(an attribute against a constant, an attribute in a list) have closures of their own.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Happened,
    Has,
    In,
    InSegment,
    Literal,
    Not,
    Or,
    Path,
    Root,
    Truth,
    Value,
    ValueType,
)
from outbound.engine.conditions.facts import Facts
from outbound.engine.conditions.values import READERS, Row, Test, compile_value, compile_window

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TEXT = frozenset({ValueType.STRING, ValueType.ENUM})
_NOTHING: Mapping[str, Any] = {}


def evaluate(clauses: Sequence[Clause]) -> Callable[[Facts], bool | None]:
    """The test that all of ``clauses`` hold: True, False, or None where a missing value leaves it open.

    Compile once, call for every customer. Only True matches. No clause at all is True.
    """
    parts = tuple(compile_test(clause.condition) for clause in clauses)
    test = parts[0] if len(parts) == 1 else _all_of(parts)

    def answer(facts: Facts) -> bool | None:
        return test(facts.customer, facts.event or _NOTHING, facts)

    return answer


def compile_test(condition: Condition) -> Test:
    """The closure of one condition."""
    match condition:
        case And():
            return _all_of(tuple(compile_test(part) for part in condition.parts))
        case Or():
            return _any_of(tuple(compile_test(part) for part in condition.parts))
        case Not():
            return _negation(compile_test(condition.part))
        case InSegment():
            return compile_test(condition.condition)
        case Compare():
            return _compare(condition)
        case In():
            return _in(condition)
        case Truth():
            return compile_value(condition.value, compile_test)
        case Has():
            return _has(condition.path)
        case Happened():
            return _happened(condition)
        case _:
            assert_never(condition)


def _all_of(parts: tuple[Test, ...]) -> Test:
    def test(customer: Row, event: Row, facts: Facts) -> bool | None:
        answer: bool | None = True
        for part in parts:
            found = part(customer, event, facts)
            if found is False:
                return False
            if found is None:
                answer = None
        return answer

    return test


def _any_of(parts: tuple[Test, ...]) -> Test:
    def test(customer: Row, event: Row, facts: Facts) -> bool | None:
        answer: bool | None = False
        for part in parts:
            found = part(customer, event, facts)
            if found is True:
                return True
            if found is None:
                answer = None
        return answer

    return test


def _negation(part: Test) -> Test:
    def test(customer: Row, event: Row, facts: Facts) -> bool | None:
        found = part(customer, event, facts)
        return None if found is None else not found

    return test


def _compare(condition: Compare) -> Test:
    left, op, right = condition.left, condition.op, condition.right
    if isinstance(left, Literal):
        left, op, right = right, _MIRRORED[op], left
    if isinstance(right, Literal):
        return _compare_constant(left, op, right.value)
    get_left, get_right = compile_value(left, compile_test), compile_value(right, compile_test)
    holds = _OPERATORS[op]

    def test(customer: Row, event: Row, facts: Facts) -> bool | None:
        first = get_left(customer, event, facts)
        if first is None:
            return None
        second = get_right(customer, event, facts)
        return None if second is None else holds(first, second)

    return test


def _compare_constant(value: Value, op: str, constant: Any) -> Test:
    if isinstance(value, Path) and value.type in _TEXT and value.root is Root.CUSTOMER:
        name = value.name
        if op == "==":
            return lambda c, _e, _f: v == constant if (v := c.get(name)).__class__ is str else None
        return lambda c, _e, _f: v != constant if (v := c.get(name)).__class__ is str else None
    get = compile_value(value, compile_test)
    if op == "==":
        return lambda c, e, f: None if (v := get(c, e, f)) is None else v == constant
    if op == "!=":
        return lambda c, e, f: None if (v := get(c, e, f)) is None else v != constant
    holds = _OPERATORS[op]
    return lambda c, e, f: None if (v := get(c, e, f)) is None else holds(v, constant)


def _in(condition: In) -> Test:
    options = frozenset(option.value for option in condition.options)
    value, negated = condition.value, condition.negated
    if isinstance(value, Path) and value.type in _TEXT and value.root is Root.CUSTOMER and not negated:
        name = value.name
        return lambda c, _e, _f: v in options if (v := c.get(name)).__class__ is str else None
    get = compile_value(value, compile_test)
    if negated:
        return lambda c, e, f: None if (v := get(c, e, f)) is None else v not in options
    return lambda c, e, f: None if (v := get(c, e, f)) is None else v in options


def _has(path: Path) -> Test:
    name, read = path.name, READERS[path.type]
    if path.root is Root.CUSTOMER:
        return lambda c, _e, _f: read(c.get(name)) is not None
    return lambda _c, e, _f: read(e.get(name)) is not None


def _happened(condition: Happened) -> Test:
    name, begin = condition.event, compile_window(condition.within)
    where = None if condition.where is None else compile_test(condition.where)

    def test(customer: Row, _event: Row, facts: Facts) -> bool:
        start, now = begin(facts), facts.now
        for past in facts.history:
            if (
                past.name == name
                and past.at <= now
                and (start is None or past.at > start)
                and (where is None or where(customer, past.data, facts) is True)
            ):
                return True
        return False

    return test
