"""Warns where a negative test touches an attribute that may be missing.

``not customer.auto_renew`` reads as "everyone who did not switch it on", but where the value is missing
the test is unknown and does not match. ``has(x)`` beside the test, or a default, says what is meant.
"""

from outbound.domain.condition import (
    And,
    Compare,
    Condition,
    Count,
    DaysSince,
    DaysUntil,
    Default,
    Happened,
    Has,
    In,
    InSegment,
    Literal,
    Lower,
    Not,
    Or,
    Path,
    Root,
    Status,
    Truth,
    Value,
)
from outbound.domain.message_events import ALWAYS, PREFIX
from outbound.domain.source import Span
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.text import value_text

_Guards = frozenset[str]


def warn_missing(condition: Condition, reading: Reading, *, event: str | None) -> None:
    """Warn about each optional attribute under a negative test that neither ``has`` nor a default covers.

    ``event`` is the one the condition is about.
    """
    _walk(condition, reading, negated=False, guarded=_carried(event))


def _walk(condition: Condition, reading: Reading, *, negated: bool, guarded: _Guards) -> None:
    match condition:
        case And() | Or():
            inside = guarded | _guards(condition)
            for part in condition.parts:
                _walk(part, reading, negated=negated, guarded=inside)
        case Not():
            _walk(condition.part, reading, negated=not negated, guarded=guarded)
        case InSegment():
            if negated:
                _warn_segment(condition, reading, guarded)
        case _:
            for value in _under_negation(condition, negated=negated):
                _warn(value, reading, guarded)
            for counted, where in _wheres(
                condition
            ):  # an event that lacks the field is not counted: no surprise outside
                _walk(where, reading, negated=False, guarded=_outside(guarded) | _carried(counted))


def _carried(event: str | None) -> _Guards:
    """The fields that are there although they are declared as optional: ours to write."""
    ours = event is not None and event.startswith(PREFIX)
    return frozenset(f"{Root.EVENT}.{name}" for name in ALWAYS) if ours else frozenset()


def _outside(guarded: _Guards) -> _Guards:
    """The guards that hold after ``where`` too, where ``event.x`` is another event's."""
    return frozenset(text for text in guarded if not text.startswith(f"{Root.EVENT}."))


def _guards(junction: And | Or) -> _Guards:
    """The attributes whose absence decides the whole junction: ``has(x) and ..``, ``not has(x) or ..``."""
    if isinstance(junction, And):
        deciding = [part for part in junction.parts if isinstance(part, Has)]
    else:
        deciding = [p.part for p in junction.parts if isinstance(p, Not) and isinstance(p.part, Has)]
    return frozenset(value_text(part.path) for part in deciding)


def _under_negation(condition: Condition, *, negated: bool) -> tuple[Value, ...]:
    """The values of a test that asks for what is not so."""
    negative = (isinstance(condition, Compare) and condition.op == "!=") or (
        isinstance(condition, In) and condition.negated
    )
    return _values(condition) if negated != negative else ()


def _wheres(condition: Condition) -> list[tuple[str, Condition]]:
    """The events that one test looks back at under a condition."""
    sources = (condition, *_values(condition))
    return [(s.event, s.where) for s in sources if isinstance(s, Happened | Count) and s.where is not None]


def _warn(value: Value, reading: Reading, guarded: _Guards) -> None:
    for path, in_call in _exposed(value):
        text = value_text(path)
        if text in guarded:
            continue
        hint = f"write has({text}) and ..." if in_call else f"write ({text} ?? <default>) or has({text})"
        _say(reading, path.span, f"{text} may be missing; a missing value never matches, not even here", hint)


def _warn_segment(segment: InSegment, reading: Reading, guarded: _Guards) -> None:
    path = _first_exposed(segment.condition, guarded)
    if path is None:
        return
    text = value_text(path)
    message = (
        f"segment.{segment.name} looks at {text}, which may be missing; a missing value never matches, not even here"
    )
    _say(reading, segment.span, message, f"write ({text} ?? <default>) in the segment, or has({text}) beside it")


def _first_exposed(condition: Condition, guarded: _Guards) -> Path | None:
    """The first optional attribute that can make ``condition`` unknown."""
    inside = guarded | _guards(condition) if isinstance(condition, And | Or) else guarded
    for part in _parts(condition):
        found = _first_exposed(part, inside)
        if found is not None:
            return found
    paths = [path for value in _values(condition) for path, _ in _exposed(value)]
    return next((path for path in paths if value_text(path) not in guarded), None)


def _parts(condition: Condition) -> tuple[Condition, ...]:
    match condition:
        case And() | Or():
            return condition.parts
        case Not():
            return (condition.part,)
        case InSegment():
            return (condition.condition,)
        case _:
            return ()


def _values(condition: Condition) -> tuple[Value, ...]:
    """The values of one test."""
    match condition:
        case Compare():
            return (condition.left, condition.right)
        case In() | Truth():
            return (condition.value,)
        case _:
            return ()


def _exposed(value: Value) -> list[tuple[Path, bool]]:
    """Optional attributes that make ``value`` missing, and whether they stand inside ``days_until``."""
    match value:
        case Path():
            return [] if value.required else [(value, False)]
        case DaysUntil() | DaysSince():
            return [] if value.path.required else [(value.path, True)]
        case Lower():
            return _exposed(value.value)
        case Default():
            left, right = _exposed(value.left), _exposed(value.right)
            return left + right if left and right else []
        case Literal() | Count() | Status():
            return []


def _say(reading: Reading, span: Span, message: str, hint: str) -> None:
    if all(problem.message != message for problem in reading.problems):  # once per attribute is enough
        reading.warn(span, Code.MAY_BE_MISSING, message, hint)
