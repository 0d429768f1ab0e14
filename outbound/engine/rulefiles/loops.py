"""Rules that set themselves off (fault F53): found in the files, before a single message is made.

A rule follows from another one when it fires on an event of messages (``message.clicked``), or on entering a segment
that looks at such events, and its conditions do not keep the other rule's messages out. Rules that follow from each
other in a circle would go on for ever.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Default,
    In,
    Literal,
    Lower,
    Not,
    Or,
    Path,
    Root,
    Value,
)
from outbound.domain.lowercase import lower
from outbound.domain.message_events import PREFIX
from outbound.domain.rule import EntersTrigger, EventTrigger, Rule
from outbound.domain.source import Span
from outbound.engine.conditions.facts import lookbacks
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings

Facts = Mapping[str, frozenset[str]]
"""What the fields of a rule's message events can be."""

_SHOWN: Final = 8


def refuse_loops(
    rules: Mapping[str, Rule],
    places: Mapping[str, Span],
    segments: Mapping[str, tuple[Clause, ...]],
    findings: Findings,
) -> None:
    """Report every rule that can set itself off, alone or by way of others: an error, with drafts a warning.

    ``places`` says where each rule's trigger stands.
    """
    listening = {name: _listens(rule, segments) for name, rule in sorted(rules.items())}
    heard = [name for name, conditions in listening.items() if conditions]
    facts = {name: _facts(rules[name]) for name in heard}
    follows = {
        name: [other for other in heard if any(_can_be(c, facts[name])[0] for c in listening[other])] for name in heard
    }
    for name in heard:
        if name in follows[name]:
            _report([name], rules, places, findings)
            follows[name].remove(name)
    live = {
        name: [o for o in others if not rules[o].draft] for name, others in follows.items() if not rules[name].draft
    }
    for name in sorted(live):
        circle = _circle(name, live)
        if circle:
            _report(circle, rules, places, findings)
            del live[name]
    for name in sorted(name for name in heard if rules[name].draft):
        circle = _circle(name, follows)
        if circle:
            _report(circle, rules, places, findings)
            del follows[name]


def _listens(rule: Rule, segments: Mapping[str, tuple[Clause, ...]]) -> list[Condition]:
    """Conditions about an event of messages, any of which sets the rule off; none where it listens to no message."""
    match rule.trigger:
        case EventTrigger(event=event, condition=clauses) if event.startswith(PREFIX):
            return [And(tuple(clause.condition for clause in clauses), rule.span)]
        case EntersTrigger(segment=segment):
            looks = (look for clause in segments.get(segment, ()) for look in lookbacks(clause.condition))
            return [look.where or And((), look.span) for look in looks if look.event.startswith(PREFIX)]
        case _:
            return []


def _facts(rule: Rule) -> Facts:
    return {
        "rule": frozenset({rule.id}),
        "topic": frozenset({rule.topic}),
        "channel": frozenset(str(channel) for channel in rule.send.channels),
    }


def _can_be(condition: Condition, facts: Facts) -> tuple[bool, bool]:
    """Whether the condition can be true, and whether it can be false, for some event with these fields."""
    match condition:
        case And(parts=parts):
            found = [_can_be(part, facts) for part in parts]
            return all(true for true, _ in found), any(false for _, false in found)
        case Or(parts=parts):
            found = [_can_be(part, facts) for part in parts]
            return any(true for true, _ in found), all(false for _, false in found)
        case Not(part=part):
            true, false = _can_be(part, facts)
            return false, true
        case Compare(op="==" | "!=" as op, left=left, right=right):
            return _negated(_equal(_texts(left, facts), _texts(right, facts)), negated=op == "!=")
        case In(value=value, options=options, negated=negated):
            found_texts = _texts(value, facts)
            listed = frozenset(str(option.value) for option in options)
            if found_texts is None:
                return True, True
            return _negated((bool(found_texts & listed), bool(found_texts - listed)), negated=negated)
        case _:
            return True, True


def _equal(left: frozenset[str] | None, right: frozenset[str] | None) -> tuple[bool, bool]:
    if left is None or right is None:
        return True, True
    return bool(left & right), len(left | right) > 1


def _negated(found: tuple[bool, bool], *, negated: bool) -> tuple[bool, bool]:
    return (found[1], found[0]) if negated else found


def _texts(value: Value, facts: Facts) -> frozenset[str] | None:
    """Every text the value can be, None where that is open."""
    match value:
        case Literal(value=str(text)):
            return frozenset({text})
        case Path(root=Root.EVENT, name=name):
            return facts.get(name)
        case Lower(value=inner):
            found = _texts(inner, facts)
            return None if found is None else frozenset(map(lower, found))
        case Default(left=left):
            return _texts(left, facts)  # what is known of our messages is always there
        case _:
            return None


def _circle(start: str, follows: Mapping[str, Iterable[str]]) -> list[str]:
    """The shortest way from a rule back to itself, without its end; empty where there is none."""
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for other in follows.get(name, ()):
            if other == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if other not in came_from:
                came_from[other] = name
                queue.append(other)
    return []


def _report(circle: list[str], rules: Mapping[str, Rule], places: Mapping[str, Span], findings: Findings) -> None:
    """One circle, at the trigger of its first rule."""
    first = rules[circle[0]]
    shown = circle if len(circle) <= _SHOWN else [*circle[:_SHOWN], ".."]
    way = " -> ".join([*(f"{name} ({places[name]})" if name in places else name for name in shown), first.id])
    message = f"rule '{first.id}' sets itself off: {way}" if len(circle) > 1 else f"rule '{first.id}' sets itself off"
    message += "" if len(circle) > 1 else " with its own messages"
    if isinstance(first.trigger, EventTrigger):
        hint = f"add if: event.rule != '{circle[-1]}', or name the rules it may follow"
    else:
        hint = f"add where event.rule != '{circle[-1]}' to the events of the segment"
    add = findings.warning if any(rules[name].draft for name in circle) else findings.error
    add(Code.LOOP, places[first.id], message, hint)
