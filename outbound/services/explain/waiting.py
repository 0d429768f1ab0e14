"""A message that waits: its gate asked now, as dispatch would ask it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never, cast

from outbound.channels.base import Adapter
from outbound.domain.message import Message
from outbound.domain.person import Person
from outbound.domain.reasons import ReasonCode
from outbound.domain.rule import DateTrigger, Rule
from outbound.engine.conditions import evaluate
from outbound.engine.ladder import ladder_steps
from outbound.services.dispatch.competition import Competition, Judge
from outbound.services.dispatch.own_time import own_time
from outbound.services.dispatch.screening import Case, Go, Screened, Stop, Wait, candidate_of, screen
from outbound.services.explain.answer import Line, Outcome
from outbound.services.explain.climb import Climbed, ladder_lines
from outbound.services.explain.occurrences import condition_lines, place_of
from outbound.services.explain.subject import Subject
from outbound.services.planning.compiled import topic_of
from outbound.storage import outbox_gate, runs
from outbound.storage.outbox_gate import Past

_BEFORE_LADDER = frozenset({ReasonCode.MATCH, ReasonCode.RULE_WITHDRAWN, ReasonCode.ERASED})
_ANY_ADAPTER = cast("Adapter", object())
"""The gate leaves out channels without an adapter; which those are is known only where messages leave."""


def climb_again(subject: Subject, rule: Rule, message: Message, *, assumed: bool = False) -> Climbed:
    """A message that waits for its gate: what the gate says, asked now, or when the message's own time has come.

    ``who`` is asked again of a message that was held; of one whose customer is ``assumed`` to be different too.
    """
    own = own_time(message, rule, subject.person, subject.active)
    moment = max(subject.now, own) if own else subject.now
    case = _case(subject, rule, message, moment)
    if assumed and not message.held_by:
        case = replace(case, message=replace(message, held_by="assumed"))
    answer = screen(case)
    lines = _lines(subject, rule, case, answer)
    return Climbed(lines=tuple(lines), outcome=_outcome(subject, message, answer, moment), once=message.once)


def _case(subject: Subject, rule: Rule, message: Message, moment: datetime) -> Case:
    """Everything the gate looks at."""
    past = outbox_gate.past_of(subject.connection, [message.id]).get(message.id, Past())
    slots = runs.slots(subject.connection, [message.run_id])
    ruleset, switches = subject.active.ruleset, subject.switches
    judge = Judge(ruleset=ruleset, switches=switches, open_channel=lambda _: True, now=moment)
    people = {message.customer_id: subject.person}
    traffic = Competition(subject.connection, judge, [message], people).traffic_of(message, tried=bool(past.legs))

    def who(rule: Rule, _person: Person) -> bool | None:
        return evaluate(rule.who)(subject.facts(rule.who))

    return Case(
        message=message,
        person=subject.person,
        past=past,
        active=subject.active,
        switches=switches,
        traffic=traffic,
        who=who,
        adapter_for=lambda _: _ANY_ADAPTER,
        now=moment,
        day=slots.get(message.run_id, "") if isinstance(rule.trigger, DateTrigger) else "",
    )


def _lines(subject: Subject, rule: Rule, case: Case, answer: Screened) -> Sequence[Line]:
    message, zone = case.message, subject.zones.at
    planned = f"planned {message.created_at.astimezone(zone):%Y-%m-%d %H:%M}"
    place = place_of(rule.trigger_span or rule.span)
    if message.expires <= case.now:
        over = f"a message waited, worthless since {message.expires.astimezone(zone):%Y-%m-%d %H:%M}"
        return [Line(gate="expired", verdict=False, text=over, because=planned, place=place)]
    if isinstance(answer, Stop) and answer.reason.code in _BEFORE_LADDER:
        stopped = f"a message waits: {answer.reason}"
        return [Line(gate=answer.reason.code, verdict=False, text=stopped, because=planned, place=place)]
    lines = [Line(gate="match", verdict=True, text="a message waits", because=planned, place=place)]
    if message.held_by:
        lines += condition_lines("who", rule.who, subject.facts(rule.who))
        if isinstance(answer, Stop) and answer.reason.code is ReasonCode.WHO:
            return lines
    channels, past = message.channels, case.past
    if past.current is not None and past.current.attempts:
        channels, past = (past.current.channel,), Past()  # the turn of a channel that was begun goes on
    steps = ladder_steps(
        candidate_of(message, topic_of(subject.active, rule), channels=channels, past=past),
        subject.person,
        policy=subject.active.ruleset.policy,
        now=case.now,
        switches=case.switches,
        traffic=case.traffic,
    )
    return [*lines, *ladder_lines(subject, rule, steps)]


def _outcome(subject: Subject, message: Message, answer: Screened, moment: datetime) -> Outcome:
    """Where the gate's answer leads, on the customer's clock."""
    zone = subject.zones.at
    ends, template = message.expires.astimezone(zone), message.template
    match answer:
        case Go(channel=channel):
            others = (c.value for c in message.channels if c is not channel)
            at = max(moment, message.not_before).astimezone(zone)
            return Outcome(decision="send", at=at, expires=ends, channels=(channel.value, *others), template=template)
        case Wait(until=until, reason=reason):
            at = until.astimezone(zone)
            return Outcome(decision="hold", reason=str(reason), at=at, expires=ends, template=template)
        case Stop(reason=reason):
            told = str(reason) if message.held_by else str(reason).removesuffix(".after_hold")
            return Outcome(decision="skip", reason=told, expires=ends)
        case _:
            assert_never(answer)
