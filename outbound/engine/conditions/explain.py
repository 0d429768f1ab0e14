"""Why a condition holds or not: one line per part, with the values that decided.

Every verdict comes from the closures that decide in earnest, so an explanation cannot disagree with them.
"""

from dataclasses import dataclass

from outbound.domain.condition import (
    And,
    Clause,
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
    Lower,
    Not,
    Or,
    Path,
    Root,
    Truth,
    Value,
)
from outbound.engine.conditions.evaluate import compile_test
from outbound.engine.conditions.facts import Facts
from outbound.engine.conditions.text import condition_text, literal_text, value_text
from outbound.engine.conditions.types import type_word
from outbound.engine.conditions.values import READERS, Row, compile_value, compile_window

_MARKS = {True: "yes", False: "NO", None: "?"}
_NOTHING: Row = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One line: the verdict (None is unknown), the part of the condition, what decided it, and its own parts."""

    verdict: bool | None
    text: str
    because: str = ""
    parts: "tuple[Explanation, ...]" = ()


def explain(clause: Clause, facts: Facts) -> Explanation:
    """The verdict of a clause on these facts, part by part."""
    return _explain(clause.condition, facts)


def render(explanation: Explanation) -> str:
    """The explanation as lines of ``yes``, ``NO`` or ``?``, indented by part, the deciding values aligned."""
    lines = list(_lines(explanation, 0))
    width = max((len(text) for text, because in lines if because), default=0)
    return "\n".join(f"{text:<{width}}  -- {because}" if because else text for text, because in lines)


def _lines(explanation: Explanation, depth: int) -> "list[tuple[str, str]]":
    head = f"{'  ' * depth}{_MARKS[explanation.verdict]:<3} {explanation.text}"
    return [(head, explanation.because), *(line for part in explanation.parts for line in _lines(part, depth + 1))]


def _explain(condition: Condition, facts: Facts) -> Explanation:
    verdict = compile_test(condition)(facts.customer, facts.event or _NOTHING, facts)
    match condition:
        case And():
            return _branch(verdict, "all of", condition.parts, facts)
        case Or():
            return _branch(verdict, "any of", condition.parts, facts)
        case Not():
            return _branch(verdict, "not", (condition.part,), facts)
        case InSegment():
            return _branch(verdict, condition_text(condition), (condition.condition,), facts)
        case _:
            return Explanation(verdict=verdict, text=condition_text(condition), because=_because(condition, facts))


def _branch(verdict: bool | None, text: str, parts: tuple[Condition, ...], facts: Facts) -> Explanation:
    return Explanation(verdict=verdict, text=text, parts=tuple(_explain(part, facts) for part in parts))


def _because(condition: Condition, facts: Facts) -> str:
    """The values a single test looked at."""
    match condition:
        case Compare():
            found = _seen(condition.left, facts) + _seen(condition.right, facts)
        case In() | Truth():
            found = _seen(condition.value, facts)
        case Has():
            found = _seen(condition.path, facts)
        case Happened():
            return _last(condition, facts)
        case _:
            return ""
    return ", ".join(dict.fromkeys(found))


def _seen(value: Value, facts: Facts) -> list[str]:
    match value:
        case Path():
            return [f"{value_text(value)} is {_stored(value, facts)}"]
        case Default():
            return _seen(value.left, facts) + _seen(value.right, facts)
        case Lower():
            return _seen(value.value, facts)
        case DaysUntil() | DaysSince():
            days = compile_value(value, compile_test)(facts.customer, facts.event or _NOTHING, facts)
            seen = f"{value_text(value.path)} is {_stored(value.path, facts)}"
            return [seen if days is None else f"{seen}, {_days_away(value, days)}"]
        case Count():
            total = compile_value(value, compile_test)(facts.customer, facts.event or _NOTHING, facts)
            return [f"{value.event} {'once' if total == 1 else f'{total} times'}"]
        case _:
            return []


def _stored(path: Path, facts: Facts) -> str:
    row = facts.customer if path.root is Root.CUSTOMER else facts.event or _NOTHING
    stored = row.get(path.name)
    if stored is None:
        return "MISSING"
    if READERS[path.type](stored) is None:
        return f"{literal_text(stored)}, which is not {type_word(path.type)}: counts as MISSING"
    return literal_text(stored)


def _days_away(value: DaysUntil | DaysSince, days: int) -> str:
    ahead = days if isinstance(value, DaysUntil) else -days
    if ahead == 0:
        return "today"
    unit = "day" if abs(ahead) == 1 else "days"
    return f"in {ahead} {unit}" if ahead > 0 else f"{-ahead} {unit} ago"


def _last(condition: Happened, facts: Facts) -> str:
    """The newest event that counts; where none does, the newest that nearly did."""
    past = [event for event in facts.history if event.name == condition.event and event.at <= facts.now]
    if not past:
        return "never"
    start = compile_window(condition.within)(facts)
    inside = [event for event in past if start is None or event.at > start]
    if condition.where is None:
        counted = inside
    else:
        where = compile_test(condition.where)
        counted = [event for event in inside if where(facts.customer, event.data, facts) is True]
    newest = max(counted or inside or past, key=lambda event: event.at)
    day = f"last {newest.at.astimezone(facts.zone).date()}"
    if counted:
        return day
    return f"{day}, but where is not true" if inside else f"{day}, before the window"
