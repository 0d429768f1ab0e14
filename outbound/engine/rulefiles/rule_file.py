"""rules/*.yaml: one rule per document."""

from typing import Final, NamedTuple

from outbound.domain.condition import Clause
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Topic
from outbound.domain.rule import DateTrigger, EventTrigger, Rule, ScheduleTrigger, ScriptTrigger
from outbound.domain.source import Span
from outbound.engine.conditions import Scope
from outbound.engine.rulefiles.clauses import read_clauses, segments_in, written_conditions
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.experiment import ReadExperiment, read_experiment
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import Node
from outbound.engine.rulefiles.once import read_once
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.rule_keys import (
    always_quiet,
    goes_with_trigger,
    read_active,
    read_limits,
    read_unknown_customer,
)
from outbound.engine.rulefiles.same_days import warn_same_days
from outbound.engine.rulefiles.send_action import read_send
from outbound.engine.rulefiles.shapes import boolean, name, scalar, text
from outbound.engine.rulefiles.triggers import TRIGGERS, read_trigger
from outbound.engine.rulefiles.values import duration
from outbound.engine.rulefiles.version import rule_version
from outbound.engine.rulefiles.world import World

RULE_KEYS: Final = (
    "rule",
    "owner",
    "topic",
    "when",
    "who",
    "once",
    "expires",
    "unknown_customer",
    "catch_up",
    "limits",
    "experiment",
    "active",
    "draft",
    "send",
)
_LATER = ("steps", "digest", "reentry", "max_age", "version", "exit")
_ELSEWHERE: Final = {
    **dict.fromkeys((*TRIGGERS, *(key for keys in TRIGGERS.values() for key in keys)), "when"),
    **dict.fromkeys(("template", "channels", "pace"), "send"),
    **dict.fromkeys(("recipients", "cost", "growth"), "limits"),
    **dict.fromkeys(("unit", "coverage", "holdout", "variants", "goal"), "experiment"),
    "segment": "rules/segments.yaml",
    "policy": "rules/policy.yaml",
    "topics": "rules/policy.yaml",
    "customer": "rules/schema.yaml",
    "events": "rules/schema.yaml",
    "test": "rules/tests/",
}
RULE_NAME: Final = r"[a-z][a-z0-9_-]{0,62}"
_rule_name = name(RULE_NAME, "order-shipped")
_CATCH_UP: Final = Duration(24, DurationUnit.HOUR)
_EXPIRES_CALLED: Final = Duration(48, DurationUnit.HOUR)
_EXPIRES: Final = Duration(3, DurationUnit.DAY)


class ReadRule(NamedTuple):
    """A rule's name, where it, its trigger and its experiment stand, and the rule itself unless it has errors."""

    id: str
    span: Span
    trigger: Span
    rule: Rule | None
    experiment: ReadExperiment | None = None


def read_rule(document: Node, findings: Findings, world: World) -> ReadRule | None:
    """The rule of one document; None when not even its name could be read."""
    before = findings.errors
    record = open_record(document, findings, keys=RULE_KEYS, later=_LATER, elsewhere=_ELSEWHERE)
    if record is None:
        return None
    rule_id = record.required("rule", _rule_name)
    owner = record.required("owner", text)
    topic = _topic(record, findings, world)
    when = record.required_node("when")
    read = None if when is None else read_trigger(when, findings, world)
    trigger = None if read is None else read.trigger
    who = _who(record, findings, world)
    read_arms = read_experiment(record, findings, world)
    once_node = record.optional("once", scalar)
    once = None
    if read is not None and (once_node is not None or not record.has("once")):
        experiment_id = read_arms.id if read_arms else ""
        once = read_once(
            once_node, read, world.schema, findings, rule=record.value_span("when"), experiment=experiment_id
        )
    expires = record.optional("expires", duration("m", "h", "d", "w", "mo"))
    unknown, hold = read_unknown_customer(record, findings, world, trigger)
    catch_up = record.optional("catch_up", duration("m", "h", "d", "w"))
    if when is not None and read is not None:
        warn_same_days(when, read, findings, world, catch_up=catch_up, late=record.value_span("catch_up"))
    limits = read_limits(record, findings, world)
    goes_with_trigger(record, findings, trigger)
    active_from, active_until = read_active(record, findings, world)
    draft = record.optional("draft", boolean) or False
    action = record.required_node("send")
    send = None if action is None else read_send(action, findings, world, trigger, experiment=read_arms)
    if when is not None and topic is not None and trigger is not None and send is not None and world.policy is not None:
        always_quiet(when=when, trigger=trigger, send=send, topic=topic, policy=world.policy, findings=findings)
    if rule_id is None:
        return None
    span = record.value_span("rule")
    if findings.errors > before or not (owner and topic and trigger and once and send):
        return ReadRule(rule_id, span, span, None, read_arms)
    slotted = isinstance(trigger, ScheduleTrigger | DateTrigger)
    called = isinstance(trigger, EventTrigger | ScriptTrigger)
    rule = Rule(
        id=rule_id,
        owner=owner,
        topic=topic.name,
        trigger=trigger,
        who=who,
        once=once,
        expires=expires or topic.message_class.expires or (_EXPIRES_CALLED if called else _EXPIRES),
        send=send,
        version=rule_version(document),
        span=span,
        trigger_span=read.place if read else None,
        unknown_customer=unknown,
        unknown_customer_hold=hold,
        catch_up=catch_up or (_CATCH_UP if slotted else None),
        limits=limits,
        experiment=read_arms.experiment if read_arms else None,
        active_from=active_from,
        active_until=active_until,
        draft=draft,
    )
    return ReadRule(rule_id, span, read.place if read else span, rule, read_arms)


def _topic(record: Record, findings: Findings, world: World) -> Topic | None:
    found = record.required("topic", text)
    if found is None or world.policy is None:
        return None
    topic = world.policy.topics.get(found)
    if topic is None:
        hint = did_you_mean(found, world.policy.topics) or "describe it under 'topics' in rules/policy.yaml"
        findings.error(Code.UNKNOWN_TOPIC, record.value_span("topic"), f"unknown topic '{found}'", hint)
    return topic


def _who(record: Record, findings: Findings, world: World) -> tuple[Clause, ...]:
    node = record.optional_node("who")
    for written in written_conditions(node):
        world.mentioned.update(mentioned for mentioned, _ in segments_in(written.text))
    scope = None if world.schema is None else Scope(schema=world.schema, segments=world.segments)
    return read_clauses(node, findings, scope)
