"""Decide a batch: who gets a message of an occurrence, when, on which channel, or why not. Writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import AddressState, ChannelName
from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.person import Person
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rendered import RenderStop
from outbound.domain.rule import Rule
from outbound.engine.conditions.facts import customer_values
from outbound.engine.ladder import Candidate, Switches, decide
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.occurrence import Occurrence, Prospect, is_shared, once_key
from outbound.services.releases import Active
from outbound.storage import audience, decisions
from outbound.storage.people import load_people

_NOTHING_PAUSED = Switches()
_MARKETING = "marketing"


@dataclass(frozen=True, slots=True)
class Judged:
    """One candidate with its decision. ``context`` is set unless skipped."""

    once: str
    person: Person
    occurrence: Occurrence
    zone: ZoneInfo
    decision: Decision
    channels: tuple[ChannelName, ...]
    context: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A batch: the candidates, those (customer id) who were decided before, and the ids nobody has."""

    candidates: Sequence[Judged]
    already: tuple[str, ...]
    unknown: tuple[str, ...]


def judge(
    connection: Connection, active: Active, rule: Rule, prospects: Sequence[Prospect], *, now: datetime
) -> Judgement:
    """Decide every prospect of one rule that was not decided before, set-wise."""
    people = load_people(connection, [p.customer_id for p in prospects])
    keyed, unknown = _keyed(rule, prospects, people)
    known = decisions.decided(connection, rule.id, list(keyed))
    clerk = _Clerk(active, rule, now)
    judged = [
        clerk.decide(once, people[p.customer_id], p.occurrence)
        for (once, _), p in keyed.items()
        if (once, p.customer_id) not in known
    ]
    if topic_of(active, rule).message_class.name == _MARKETING:
        judged = _one_per_address(connection, rule.id, judged)
    already = tuple(customer_id for _, customer_id in known)
    return Judgement(judged, already, unknown)


def _keyed(
    rule: Rule, prospects: Sequence[Prospect], people: Mapping[str, Person]
) -> tuple[dict[tuple[str, str], Prospect], tuple[str, ...]]:
    """The prospects by (once, customer id), the first of each; and the ids that are not in the store."""
    shared = is_shared(rule.once)
    texts: dict[int, str] = {}
    keyed: dict[tuple[str, str], Prospect] = {}
    unknown: list[str] = []
    for prospect in prospects:
        person = people.get(prospect.customer_id)
        if person is None:
            unknown.append(prospect.customer_id)
            continue
        identity = id(prospect.occurrence)
        once = texts.get(identity)
        if once is None:
            once = once_key(rule.once, prospect.occurrence, person.customer)
            if shared:
                texts[identity] = once
        keyed.setdefault((once, prospect.customer_id), prospect)
    return keyed, tuple(unknown)


class _Clerk:
    """Decides one rule's candidates, with what does not change between them worked out once."""

    def __init__(self, active: Active, rule: Rule, now: datetime) -> None:
        self._active = active
        self._rule = rule
        self._now = now
        self._policy = active.ruleset.policy
        self._topic = topic_of(active, rule)
        self._candidates: dict[int, Candidate] = {}

    def decide(self, once: str, person: Person, occurrence: Occurrence) -> Judged:
        """One candidate through the ladder, then the values its template will need."""
        decision = self._climb(person, occurrence)
        zone = occurrence.zone or resolve_zones(customer_source(person.customer), self._policy).at
        channels: tuple[ChannelName, ...] = ()
        context: Mapping[str, Any] | None = None
        match decision:
            case Send():
                channels = decision.channels
            case Hold():
                channels = _likely(person, self._rule.send.channels)
                if decision.until >= occurrence.expires:
                    decision = Skip(reason=Reason(ReasonCode.EXPIRED, str(decision.reason)))
            case Skip():
                pass
            case _:
                assert_never(decision)
        if not isinstance(decision, Skip):
            values = {**occurrence.values, "customer": customer_values(person.customer)}
            snapshot = self._active.templates.snapshot(occurrence.template, values)
            if isinstance(snapshot, RenderStop):
                decision = Skip(reason=Reason(ReasonCode.RENDER, snapshot.detail))
            else:
                context = snapshot
        return Judged(once, person, occurrence, zone, decision, channels, context)

    def _climb(self, person: Person, occurrence: Occurrence) -> Decision:
        if occurrence.expires <= self._now:
            return Skip(reason=Reason(ReasonCode.EXPIRED))
        candidate = self._candidates.get(id(occurrence))
        if candidate is None:
            candidate = Candidate(
                rule=self._rule.id,
                topic=self._topic,
                channels=self._rule.send.channels,
                expires=occurrence.expires,
                due=occurrence.due,
            )
            self._candidates[id(occurrence)] = candidate
        return decide(candidate, person, policy=self._policy, now=self._now, switches=_NOTHING_PAUSED)


def _likely(person: Person, channels: tuple[ChannelName, ...]) -> tuple[ChannelName, ...]:
    """The rule's channels in the order a held message will try them: preferred, then those with an address."""
    preferred = person.customer.preference.channel

    def rank(channel: ChannelName) -> tuple[bool, bool]:
        address = person.customer.address(channel)
        return (address is None or address.state is not AddressState.OK, channel is not preferred)

    return tuple(sorted(channels, key=rank))


def _one_per_address(connection: Connection, rule_id: str, judged: Sequence[Judged]) -> list[Judged]:
    """Of customers who share an address, only the first gets a message of an occurrence (rules.md 1.9, Addresses)."""
    others = _others(connection, judged)
    if not others:
        return list(judged)
    neighbours = {(j.once, other) for j in judged for other in others.get(j.person.customer.id, {})}
    taken = {
        (once, customer_id): {channel}
        for (once, customer_id), channel in decisions.receiving(connection, rule_id, list(neighbours)).items()
    }
    kept: list[Judged] = []
    for one in judged:
        customer_id = one.person.customer.id
        shared = others.get(customer_id, {})
        if not isinstance(one.decision, Skip):
            channel = one.channels[0]
            if any(
                channel in channels and channel in taken.get((one.once, other), ())
                for other, channels in shared.items()
            ):
                reason = Reason(ReasonCode.DUPLICATE_ADDRESS, channel)
                kept.append(
                    Judged(one.once, one.person, one.occurrence, one.zone, Skip(reason=reason), one.channels, None)
                )
                continue
            if shared:
                taken.setdefault((one.once, customer_id), set()).add(channel)
        kept.append(one)
    return kept


def _others(connection: Connection, judged: Iterable[Judged]) -> dict[str, dict[str, set[str]]]:
    """For each receiver: the other customers who have the same address, and on which channels."""
    by_channel: dict[str, list[str]] = {}
    for one in judged:
        if not isinstance(one.decision, Skip):
            by_channel.setdefault(one.channels[0], []).append(one.person.customer.id)
    others: dict[str, dict[str, set[str]]] = {}
    for channel, ids in by_channel.items():
        for customer_id, other in audience.sharers(connection, ids, channel):
            others.setdefault(customer_id, {}).setdefault(other, set()).add(channel)
    return others
