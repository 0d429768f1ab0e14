"""What the gate asks of one message, in order, and what it answers. Pure: everything it looks at is handed in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from outbound.channels.base import Adapter
from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold, Send, Skip
from outbound.domain.message import Message, MessageState
from outbound.domain.person import Person
from outbound.domain.policy import Topic
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule
from outbound.domain.traffic import Traffic
from outbound.engine.ladder import Candidate, Switches, decide
from outbound.services.dispatch.competition import is_over, planned_for
from outbound.services.dispatch.own_time import own_time, still_due
from outbound.services.releases import Active
from outbound.storage.outbox_gate import Past, PastLeg

RECHECK = timedelta(minutes=5)
"""When a message that a gate could not judge is looked at again."""

_NOT_ALLOWED = frozenset({ReasonCode.SUPPRESSED, ReasonCode.CONSENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One message and everything its gate looks at. ``who`` answers the rule's conditions about the person now.

    ``traffic`` is what else reaches the customer, as far as caps and arbitration are concerned. ``day`` is the local
    day a date rule planned the message for, "" for any other.
    """

    message: Message
    person: Person | None
    past: Past
    active: Active
    switches: Switches
    traffic: Traffic
    who: Callable[[Rule, Person], bool | None]
    adapter_for: Callable[[ChannelName], Adapter | None]
    now: datetime
    day: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """Try now, on this leg. ``moved_on``: why the gate left the leg before."""

    channel: ChannelName
    address: str
    leg: int
    tries: int
    moved_on: str = ""
    in_doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Hold until then, for this reason (None: only its own time had not come)."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End unsent."""

    state: MessageState
    reason: Reason


Screened = Go | Wait | Stop


def screen(case: Case) -> Screened:
    """Send, wait or stop. A message in doubt (see ``Passed``) never stops anywhere but in ``uncertain``."""
    answer = _screen(case)
    current = case.past.current
    if current is None or not current.in_doubt:
        return answer
    match answer:
        case Stop(reason=reason):
            return Stop(state=MessageState.UNCERTAIN, reason=reason)
        case Go(leg=leg) if leg != current.n:
            # The next leg is never opened from an unknown outcome (delivery.md 2.2).
            return Stop(state=MessageState.UNCERTAIN, reason=Reason(ReasonCode.PROVIDER, "channel_closed"))
        case _:
            return answer


def _screen(case: Case) -> Screened:
    message, now = case.message, case.now
    if message.expires <= now:
        return _expired(message.detail or message.held_by)
    rule = case.active.ruleset.rules.get(message.rule)
    topic = case.active.ruleset.policy.topics.get(message.topic)
    if rule is None or rule.draft or topic is None:
        return Stop(state=MessageState.CANCELLED, reason=Reason(ReasonCode.RULE_WITHDRAWN))
    if is_over(rule, now=now, zone=message.zone or case.active.ruleset.policy.timezone):
        return Stop(state=MessageState.CANCELLED, reason=Reason(ReasonCode.RULE_WITHDRAWN, "active.until"))
    if case.person is None:
        return Stop(state=MessageState.CANCELLED, reason=Reason(ReasonCode.ERASED))
    if not still_due(message, rule, case.person, case.active, day=case.day):
        return Stop(state=MessageState.SKIPPED, reason=Reason(ReasonCode.MATCH, "date"))
    due = own_time(message, rule, case.person, case.active)
    if due is not None and due > now:
        return Wait(until=due, reason=Reason(ReasonCode.QUIET_HOURS, "wall_time"))
    if message.held_by and case.who(rule, case.person) is not True:
        return Stop(state=MessageState.SKIPPED, reason=Reason(ReasonCode.WHO, "after_hold"))
    answer = _ladder(case, case.person, topic)
    if isinstance(answer, Wait) and answer.until >= message.expires:
        return _expired(str(answer.reason))
    return answer


def candidate_of(message: Message, topic: Topic, *, channels: tuple[ChannelName, ...], past: Past) -> Candidate:
    """The message as the ladder is asked about it. ``channels`` are those of it that have an adapter."""
    return Candidate(
        rule=message.rule,
        topic=topic,
        channels=channels,
        expires=message.expires,
        due=planned_for(message),
        tried_channels=past.tried,
        message_id=message.id,
        run_id=message.run_id,
    )


def _ladder(case: Case, person: Person, topic: Topic) -> Screened:
    message, current = case.message, case.past.current
    usable = tuple(c for c in message.channels if case.adapter_for(c) is not None)
    candidate = candidate_of(message, topic, channels=usable, past=case.past)
    policy = case.active.ruleset.policy

    def climb(candidate: Candidate) -> Send | Hold | Skip:
        return decide(candidate, person, policy=policy, now=case.now, switches=case.switches, traffic=case.traffic)

    if current is None or current.attempts == 0:
        decision = climb(candidate)
        return _answer(decision, person, leg=current.n if current else 1)
    # A leg is one channel's turn: only when that channel is gone for good may the next one take over.
    decision = climb(replace(candidate, channels=(current.channel,), tried_channels=()))
    if not isinstance(decision, Skip):
        return _answer(decision, person, leg=current.n, past=current)
    moved_on = "not_allowed" if decision.reason.code in _NOT_ALLOWED else "unreachable"
    if moved_on not in policy.next_on:
        return Stop(state=MessageState.SKIPPED, reason=decision.reason)
    onward = climb(replace(candidate, tried_channels=(*candidate.tried_channels, current.channel)))
    if isinstance(onward, Skip):
        return Stop(state=MessageState.SKIPPED, reason=decision.reason)
    return _answer(onward, person, leg=current.n + 1, moved_on=moved_on)


def _answer(
    decision: Send | Hold | Skip, person: Person, *, leg: int, past: PastLeg | None = None, moved_on: str = ""
) -> Screened:
    match decision:
        case Hold(until=until, reason=reason):
            return Wait(until=until, reason=reason)
        case Skip(reason=reason):
            return Stop(state=MessageState.SKIPPED, reason=reason)
        case Send(channel=channel):
            address = person.customer.address(channel)
            if address is None:
                return Stop(state=MessageState.SKIPPED, reason=Reason(ReasonCode.UNREACHABLE, channel))
            return Go(
                channel=channel,
                address=address.value,
                leg=leg,
                tries=past.attempts if past else 0,
                moved_on=moved_on,
                in_doubt=past.in_doubt if past else False,
            )


def _expired(detail: str) -> Stop:
    return Stop(state=MessageState.EXPIRED, reason=Reason(ReasonCode.EXPIRED, detail))
