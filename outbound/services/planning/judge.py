"""Decide a batch: who gets a message of an occurrence, when, on which channel, or why not. Writes nothing."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.customer import Customer
from outbound.domain.decision import Skip
from outbound.domain.person import Person
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule
from outbound.domain.traffic import QUIET
from outbound.services.planning.alike import Memory, contacts, fits, judge_alike
from outbound.services.planning.clerk import MARKETING, Clerk, Judged, decided
from outbound.services.planning.occurrence import Prospect, is_shared, once_key
from outbound.services.releases import Active
from outbound.storage import audience, decisions
from outbound.storage.decisions import Key
from outbound.storage.people import load_people


@dataclass(frozen=True, slots=True)
class Judgement:
    """A batch: the candidates, those (customer id) who were decided before, and the ids nobody has.

    ``outside`` are those whom the rule's experiment does not cover: no candidates, until its coverage grows.
    """

    candidates: Sequence[Judged]
    already: tuple[str, ...]
    unknown: tuple[str, ...]
    outside: tuple[str, ...] = ()


def judge(
    connection: Connection,
    active: Active,
    rule: Rule,
    prospects: Sequence[Prospect],
    *,
    now: datetime,
    run_id: str = "",
    memory: Memory | None = None,
    people: Mapping[str, Person] | None = None,
    known: AbstractSet[Key] | None = None,
) -> Judgement:
    """Decide every prospect of one rule that was not decided before, set-wise.

    ``memory`` is worth giving where batches of the same occurrence follow one another, and must then be theirs alone.
    ``people`` are the prospects' where the caller has loaded them already, ``known`` those of their ``keys_of`` that
    were decided before where it has asked for those of several rules at once.
    """
    clerk = Clerk(active, rule, run_id=run_id, now=now)
    if people is None and fits(clerk, [prospect.occurrence for prospect in prospects]):
        judgement = _judge_alike(connection, clerk, prospects, memory or Memory())
    else:
        judgement = judge_each(connection, clerk, prospects, people, known)
    if clerk.topic.message_class.name != MARKETING:
        return judgement
    candidates = one_per_address(connection, rule.id, judgement.candidates)
    return Judgement(candidates, judgement.already, judgement.unknown, judgement.outside)


def _judge_alike(connection: Connection, clerk: Clerk, prospects: Sequence[Prospect], memory: Memory) -> Judgement:
    occurrence = prospects[0].occurrence
    once = once_key(clerk.rule.once, occurrence, Customer(id=""))
    ids = list(dict.fromkeys(prospect.customer_id for prospect in prospects))
    known = decisions.decided_under(connection, clerk.rule.id, once, ids)
    fresh = [identity for identity in ids if identity not in known] if known else ids
    found = judge_alike(connection, clerk, occurrence, once, fresh, memory) if fresh else None
    if found is None:
        return Judgement((), tuple(known), ())
    return Judgement(found.judged, tuple(known), tuple(found.unknown), tuple(found.outside))


def judge_each(
    connection: Connection,
    clerk: Clerk,
    prospects: Sequence[Prospect],
    people: Mapping[str, Person] | None = None,
    known: AbstractSet[Key] | None = None,
) -> Judgement:
    """Decide with everything about everybody at hand: the long way, which the short one has to agree with."""
    rule = clerk.rule
    if people is None:
        people = load_people(connection, [p.customer_id for p in prospects])
    keyed, unknown = _keyed(rule, prospects, people)
    if known is None:
        known = decisions.decided_by(connection, sorted((rule.id, *key) for key in keyed))
    fresh = {key: p for key, p in keyed.items() if (rule.id, *key) not in known}
    busy = contacts(connection, clerk, [customer_id for _, customer_id in fresh])
    judged: list[Judged] = []
    outside: list[str] = []
    for (once, customer_id), prospect in fresh.items():
        person, occurrence = people[customer_id], prospect.occurrence
        part = clerk.assignment_of(occurrence, person)
        if part is not None and not part.covered:
            outside.append(customer_id)
            continue
        answer = clerk.answer(occurrence, person, part, busy.get(customer_id, QUIET))
        judged.append(clerk.judged(once, occurrence, person, answer))
    already = tuple(customer_id for once, customer_id in keyed if (once, customer_id) not in fresh)
    return Judgement(judged, already, unknown, tuple(outside))


def keys_of(rule: Rule, prospects: Sequence[Prospect], people: Mapping[str, Person]) -> list[Key]:
    """What each of the prospects would be decided under."""
    return [(rule.id, once, customer_id) for once, customer_id in _keyed(rule, prospects, people)[0]]


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


def one_per_address(connection: Connection, rule_id: str, judged: Sequence[Judged]) -> list[Judged]:
    """Of customers who share an address, only the first gets a message of an occurrence (rules.md 1.9, Addresses)."""
    others = _others(connection, judged)
    if not others:
        return list(judged)
    neighbours = {(j.once, other) for j in judged for other in others.get(j.customer_id, {})}
    taken = {
        (once, customer_id): {channel}
        for (once, customer_id), channel in decisions.receiving(connection, rule_id, list(neighbours)).items()
    }
    kept: list[Judged] = []
    for one in judged:
        shared = others.get(one.customer_id, {})
        if not isinstance(one.decision, Skip):
            channel = one.channels[0]
            if any(
                channel in channels and channel in taken.get((one.once, other), ())
                for other, channels in shared.items()
            ):
                skip = Skip(reason=Reason(ReasonCode.DUPLICATE_ADDRESS, channel))
                kept.append(Judged(one.once, one.customer_id, one.occurrence, decided(one.answer, skip), None))
                continue
            if shared:
                taken.setdefault((one.once, one.customer_id), set()).add(channel)
        kept.append(one)
    return kept


def _others(connection: Connection, judged: Iterable[Judged]) -> dict[str, dict[str, set[str]]]:
    """For each receiver: the other customers who have the same address, and on which channels."""
    by_channel: dict[str, list[str]] = {}
    for one in judged:
        channels = one.answer.channels
        if channels:
            by_channel.setdefault(channels[0], []).append(one.customer_id)
    others: dict[str, dict[str, set[str]]] = {}
    for channel, ids in by_channel.items():
        for customer_id, other in audience.sharers(connection, ids, channel):
            others.setdefault(customer_id, {}).setdefault(other, set()).add(channel)
    return others
