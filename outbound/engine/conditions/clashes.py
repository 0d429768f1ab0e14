"""Finds tests that exclude each other, and alternatives that another one covers.

Only what is certain is reported: tests against constants, a test beside its own negation, windows inside each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outbound.domain.condition import (
    And,
    Compare,
    Condition,
    Count,
    Happened,
    Has,
    In,
    InSegment,
    Literal,
    Not,
    Path,
    Truth,
    Value,
)
from outbound.domain.durations import Duration, DurationUnit
from outbound.engine.conditions.contradictions import contradiction
from outbound.engine.conditions.scope import Scope
from outbound.engine.conditions.text import condition_text, value_text

_MOST = 80
"""Every test is held against every other; a longer list is a table, and not worth the time."""
_MINUTES = {DurationUnit.SECOND: 1 / 60, DurationUnit.MINUTE: 1, DurationUnit.HOUR: 60}
_DAYS = {DurationUnit.DAY: (1, 1), DurationUnit.WEEK: (7, 7), DurationUnit.MONTH: (28, 31)}
_CLOCK_CHANGE = 60
"""Minutes by which a number of calendar days can be longer or shorter."""


@dataclass(frozen=True, slots=True)
class _Look:
    """An event looked back at, under which condition and how far."""

    event: str
    where: str
    within: Duration | None


@dataclass(frozen=True, slots=True)
class _Test:
    """What the form of a test says, worked out once.

    ``needs`` are the paths without which it is not true, ``subject`` is one of ``options``; ``found`` is the look
    that found something, and ``asks`` the one that is the whole test. ``has`` is the path it asks for.
    """

    text: str
    needs: frozenset[str]
    subject: str
    options: frozenset[object]
    found: _Look | None
    asks: _Look | None
    has: str

    def implies(self, wider: "_Test") -> bool:
        """Whether ``wider`` is true whenever this is."""
        if self.text == wider.text or (wider.has and wider.has in self.needs):
            return True
        if self.found and wider.asks:
            return _inside(self.found, wider.asks)
        return bool(self.subject) and self.subject == wider.subject and self.options <= wider.options


def clash(parts: Sequence[Condition], scope: Scope) -> str:
    """Why the tests can never all be true, or nothing. Segments are opened."""
    tests = [test for part in parts for test in _conjuncts(part)]
    subject = contradiction(tests, scope)
    if subject:
        return f"no value of {subject} passes all of these tests"
    for test, denied in _denials(tests):
        if test.implies(denied):
            return f"{test.text} and not {denied.text} exclude each other"
    return ""


def one_holds(parts: Sequence[Condition]) -> str:
    """Two alternatives of which one always holds where it is known, or nothing."""
    found = ((test, denied) for test, denied in _denials(parts) if denied.implies(test))
    return next((f"one of {test.text} and not {denied.text} holds" for test, denied in found), "")


def covered(parts: Sequence[Condition]) -> Iterator[tuple[Condition, Condition]]:
    """Alternatives that decide nothing, each with the one that is true whenever it is."""
    if len(parts) > _MOST:
        return
    needs = [frozenset(map(condition_text, _conjuncts(part, segments=False))) for part in parts]
    tests = [_test(part) for part in parts]
    for index, part in enumerate(parts):
        for other, wider in enumerate(parts):
            within = needs[other] <= needs[index] or tests[index].implies(tests[other])
            back = needs[index] <= needs[other] or tests[other].implies(tests[index])
            if index != other and within and (not back or other < index):
                yield part, wider
                break


def _denials(parts: Sequence[Condition]) -> Iterator[tuple[_Test, _Test]]:
    """Every test beside every one that is denied."""
    if len(parts) > _MOST:
        return
    denied = [_test(part.part) for part in parts if isinstance(part, Not)]
    stated = [_test(part) for part in parts if not isinstance(part, Not)] if denied else []
    yield from ((test, other) for other in denied for test in stated)


def _conjuncts(condition: Condition, *, segments: bool = True) -> Iterator[Condition]:
    """What must be true for the condition to be."""
    match condition:
        case And():
            for part in condition.parts:
                yield from _conjuncts(part, segments=segments)
        case InSegment() if segments:
            yield condition
            yield from _conjuncts(condition.condition)
        case _:
            yield condition


def _test(condition: Condition) -> _Test:
    values = _values(condition)
    subject, options = _options(condition)
    found = _found(condition)
    return _Test(
        text=condition_text(condition),
        needs=frozenset(value_text(value) for value in values if isinstance(value, Path)),
        subject=subject,
        options=options,
        found=_look(found) if found else None,
        asks=_look(condition) if isinstance(condition, Happened) else None,
        has=value_text(condition.path) if isinstance(condition, Has) else "",
    )


def _found(condition: Condition) -> Happened | Count | None:
    """The look at past events that a test says found something."""
    match condition:
        case Happened():
            return condition
        case Compare(op=op, left=Count() as count, right=Literal(value=int() | float() as number)):
            return count if (op in {">=", "=="} and number > 0) or (op == ">" and number >= 0) else None
        case _:
            return None


def _look(source: Happened | Count) -> _Look:
    return _Look(source.event, condition_text(source.where) if source.where is not None else "", source.within)


def _inside(found: _Look, wider: _Look) -> bool:
    """Whether every event of ``found`` is one of ``wider``."""
    if found.event != wider.event or wider.where not in ("", found.where):
        return False
    return wider.within is None or (found.within is not None and _no_longer(found.within, wider.within))


def _no_longer(window: Duration, other: Duration) -> bool:
    if window.unit in _DAYS and other.unit in _DAYS:
        return window.amount * _DAYS[window.unit][1] <= other.amount * _DAYS[other.unit][0] or window == other
    return _minutes(window)[1] <= _minutes(other)[0]


def _minutes(window: Duration) -> tuple[float, float]:
    """The least and the most of a window."""
    if window.unit in _MINUTES:
        exact = window.amount * _MINUTES[window.unit]
        return exact, exact
    least, most = _DAYS[window.unit]
    return window.amount * least * 1440 - _CLOCK_CHANGE, window.amount * most * 1440 + _CLOCK_CHANGE


def _options(condition: Condition) -> tuple[str, frozenset[object]]:
    """A value and the constants it is one of; nothing for any other test."""
    match condition:
        case Compare(op="==", left=left, right=Literal() as right) if not isinstance(left, Literal):
            return value_text(left), frozenset({right.value})
        case In(negated=False) if not isinstance(condition.value, Literal):
            return value_text(condition.value), frozenset(option.value for option in condition.options)
        case _:
            return "", frozenset()


def _values(condition: Condition) -> tuple[Value, ...]:
    match condition:
        case Compare():
            return (condition.left, condition.right)
        case In() | Truth():
            return (condition.value,)
        case _:
            return ()
