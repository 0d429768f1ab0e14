"""Rules that fire at the same moment for the same people and take each other's turn (rules.md 1.9, Priority)."""

from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import Final

from outbound.domain.policy import CapUse, Policy, Topic
from outbound.domain.rule import EventTrigger, Rule, Schema, ScriptTrigger
from outbound.domain.source import Span
from outbound.engine.conditions import Scope
from outbound.engine.conditions.clashes import clash
from outbound.engine.conditions.parts import fingerprint
from outbound.engine.conditions.scope import Segments
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings

_MOST: Final = 30
"""Every rule of a moment is held against every other; more than these share it on purpose."""


def warn_overlaps(
    rules: Mapping[str, Rule],
    places: Mapping[str, Span],
    *,
    policy: Policy,
    schema: Schema,
    segments: Segments,
    findings: Findings,
) -> None:
    """Warn of pairs whose messages compete each time. Rules whose conditions exclude each other never meet."""
    moments: dict[Hashable, list[Rule]] = {}
    for rule in rules.values():
        topic = policy.topics.get(rule.topic)
        competes = topic is not None and topic.message_class.caps is CapUse.APPLY
        if competes and not rule.draft and not isinstance(rule.trigger, ScriptTrigger):
            moments.setdefault(_moment(rule), []).append(rule)
    scope = Scope(schema=schema, segments=segments)
    for together in moments.values():
        if not 1 < len(together) <= _MOST:
            continue
        for one, other in combinations(sorted(together, key=lambda rule: _turn(rule, policy)), 2):
            if clash([clause.condition for clause in (*one.who, *other.who)], scope):
                continue
            message = f"fires at the same moment as rule '{one.id}', for people who may be the same: that goes first"
            hint = "let the two exclude each other by who, or fire at other times"
            findings.warning(Code.OVERLAP, places.get(other.id, other.span), message, hint)


def _moment(rule: Rule) -> Hashable:
    trigger = rule.trigger
    if isinstance(trigger, EventTrigger):
        return "event", trigger.event, fingerprint(trigger.condition)
    return trigger


def _turn(rule: Rule, policy: Policy) -> tuple[int, str]:
    topic: Topic = policy.topics[rule.topic]
    priority = topic.message_class.priority if topic.priority is None else topic.priority
    return -priority, rule.id
