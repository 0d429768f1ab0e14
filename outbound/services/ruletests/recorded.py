"""What the record holds of one customer over a stretch of days, as the parts of a rule test, made anonymous."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName, Customer
from outbound.domain.keyring import Keyring
from outbound.domain.message import MessageState
from outbound.domain.person import Person
from outbound.domain.policy import ConsentNeed, Policy
from outbound.domain.release import Ruleset
from outbound.domain.rule import Field, Rule, ScriptTrigger
from outbound.services.ruletests.anonymous import Mask
from outbound.services.ruletests.record import Got
from outbound.storage import customers, events, runs, suppressions
from outbound.storage.customers import ADDRESS_NAMES
from outbound.storage.outbox import state_is
from outbound.storage.sets import among
from outbound.storage.tables import consent_event, customer_change, decision, leg, message, run

_PLACES: Final = ("country", "timezone")
_STATED: Final = ("preferred_channel", "quiet_from", "quiet_to", "pause_from", "pause_to", "frequency")
_WORDS: Final = {ConsentState.GRANTED: "consent", ConsentState.WITHDRAWN: "refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The days that are recorded, from ``start`` on and before ``stop`` (UTC), of a customer with these ``ids``."""

    ids: tuple[str, ...]
    start: datetime
    stop: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """One line under ``events``: when, and its keys and values but the customer."""

    at: datetime
    what: Mapping[str, Any]


def profile(person: Person, policy: Policy, topics: Iterable[str], ruleset: Ruleset, mask: Mask) -> dict[str, Any]:
    """The person as the ``customers`` of a test write them. ``topics`` are those that matter."""
    customer, found = person.customer, dict[str, Any]()
    found |= _stated(customer, mask)
    declared = {name: field for name, field in ruleset.schema.customer.items() if name not in _reserved()}
    found |= mask.attributes(declared, customer.attributes)
    addresses = {one.channel: one for one in customer.addresses}
    found["reach"] = [channel.value for channel, one in addresses.items() if one.value and one.state == "ok"]
    for state, word in _WORDS.items():
        said = [one for topic in topics for one in _ambits(person, policy, topic, state, addresses)]
        if said:
            found[word] = said
    if blocked := sorted(_block(channel, scope) for channel, scope in person.suppressed):
        found["blocked"] = blocked
    return found


def _reserved() -> frozenset[str]:
    return frozenset({"id", "language", *_PLACES, *ADDRESS_NAMES.values()})


def _stated(customer: Customer, mask: Mask) -> dict[str, Any]:
    preference = customer.preference
    hours, pause = preference.quiet_hours, preference.pauses[0] if preference.pauses else None
    zone = preference.timezone
    if zone is None and customer.zone_source.startswith("phone:"):
        zone = customer.zone_source.removeprefix("phone:").split(",")[0]
    stated = {
        "country": customer.country,
        "timezone": zone,
        "language": preference.language if "language" in mask.read.attributes else None,
        "prefers": preference.channel.value if preference.channel else None,
        "quiet_from": hours.start.strftime("%H:%M") if hours else None,
        "quiet_to": hours.end.strftime("%H:%M") if hours else None,
        "pause_from": pause.start.isoformat() if pause else None,
        "pause_to": pause.end.isoformat() if pause else None,
        "frequency": "fewer" if preference.fewer else None,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _ambits(
    person: Person, policy: Policy, topic: str, state: ConsentState, addresses: Mapping[ChannelName, Any]
) -> Sequence[str]:
    """What somebody said about a topic: its name where it holds on every channel they have, else each channel's."""
    words = person.consents
    held = []
    for channel, address in addresses.items():
        word = words.get((topic, channel.value)) or words.get((topic, ""))
        if word is None or word.state is not state:
            continue
        confirmed = state is ConsentState.WITHDRAWN or word.address == address.value
        if confirmed or policy.topics[topic].need(channel) is not ConsentNeed.DOUBLE_OPT_IN:
            held.append(channel)
    if held and len(held) == len(addresses):
        return [topic]
    return [f"{topic}/{channel}" for channel in held]


def _block(channel: str, scope: str) -> str:
    return channel if scope == "all" else f"{channel}/{scope}"


def happenings(connection: Connection, stretch: Stretch, ruleset: Ruleset, mask: Mask) -> list[Told]:
    """What happened to the customer, oldest first; before the stretch only what rules look back at."""
    found = [
        *_events(connection, stretch, ruleset, mask),
        *_sends(connection, stretch, ruleset, mask),
        *_changes(connection, stretch, ruleset, mask),
        *_words(connection, stretch, ruleset),
    ]
    return sorted(found, key=lambda one: one.at)


def _events(connection: Connection, stretch: Stretch, ruleset: Ruleset, mask: Mask) -> Iterator[Told]:
    known = mask.read.events & ruleset.schema.events.keys()
    for some in events.history(connection, stretch.ids, known).values():
        for one in some:
            if one.at >= stretch.stop or (one.at < stretch.start and one.name not in mask.read.history):
                continue
            data = mask.data(ruleset.schema.events[one.name], one.data)
            yield Told(one.at, {"event": one.name, **({"data": data} if data else {})})


def _sends(connection: Connection, stretch: Stretch, ruleset: Ruleset, mask: Mask) -> Iterator[Told]:
    """The scripts that named this customer."""
    query = sa.select(decision.c.rule, decision.c.at, run.c.slot).join(run, run.c.id == decision.c.run_id)
    mine = query.where(among(connection, decision.c.customer_id, stretch.ids), *_within(decision.c.at, stretch))
    for row in connection.execute(mine.order_by(decision.c.at)).all():
        rule = ruleset.rules.get(row.rule)
        if rule is None or not isinstance(rule.trigger, ScriptTrigger):
            continue
        request = runs.send_request(connection, rule=row.rule, key=row.slot)
        declared = {name: Field(type=kind, required=True) for name, kind in rule.trigger.arguments.items()}
        data = mask.data(declared, request.arguments if request else {})
        if len(data) == len(declared):
            yield Told(row.at, {"send": row.rule, **({"data": data} if data else {})})


def _changes(connection: Connection, stretch: Stretch, ruleset: Ruleset, mask: Mask) -> Iterator[Told]:
    table, declared = customer_change, ruleset.schema.customer
    query = sa.select(table.c.at, table.c.attribute, table.c.new).where(
        among(connection, table.c.customer_id, stretch.ids), *_within(table.c.at, stretch)
    )
    for row in connection.execute(query.order_by(table.c.at, table.c.id)):
        name, value = row.attribute, row.new
        if name in _STATED:
            yield Told(row.at, {"set": {"prefers" if name == "preferred_channel" else name: value}})
        elif name in _PLACES or (name == "language" and name in mask.read.attributes):
            yield Told(row.at, {"set": {name: value}})
        elif name in mask.read.attributes and name in declared and name not in _reserved():
            yield Told(row.at, {"set": {name: mask.attributes(declared, {name: value})[name]}})


def _words(connection: Connection, stretch: Stretch, ruleset: Ruleset) -> Iterator[Told]:
    query = sa.select(consent_event).where(
        among(connection, consent_event.c.customer_id, stretch.ids), *_within(consent_event.c.recorded_at, stretch)
    )
    for row in connection.execute(query.order_by(consent_event.c.recorded_at, consent_event.c.id)):
        topic = ruleset.policy.topics.get(row.topic)
        if topic is None:
            continue
        state = ConsentState(row.state)
        needs = {topic.need(ChannelName(row.channel))} if row.channel else {topic.need(one) for one in ChannelName}
        if state is ConsentState.GRANTED and row.address is None and needs == {ConsentNeed.DOUBLE_OPT_IN}:
            continue  # asked for, not confirmed yet
        yield Told(row.recorded_at, {_WORDS[state]: f"{row.topic}/{row.channel}" if row.channel else row.topic})


def blocks(connection: Connection, stretch: Stretch, person: Person, keyring: Keyring) -> list[Told]:
    """The blocks that came upon the person's addresses."""
    return [
        Told(block.at, {"blocked": _block(block.channel.value, block.scope)})
        for one in person.customer.addresses
        for block in suppressions.of_hashes(connection, keyring.address_hashes(one.channel.value, one.value))
        if block.channel is one.channel and stretch.start <= block.at < stretch.stop
    ]


def _within(column: Any, stretch: Stretch) -> tuple[Any, Any]:
    return column >= stretch.start, column < stretch.stop


def ids_of(connection: Connection, customer_id: str) -> tuple[str, ...]:
    """All the ids the customer ever had."""
    return (customer_id, *customers.merged_from(connection, customer_id))


def really_sent(connection: Connection, stretch: Stretch) -> list[Got]:
    """The messages that left for the customer, in their order."""
    turn = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
    query = sa.select(message, leg.c.channel.label("channel")).join(leg, turn)
    mine = query.where(
        among(connection, message.c.customer_id, stretch.ids),
        state_is(MessageState.SENT),
        *_within(message.c.sent_at, stretch),
    )
    return [
        Got(at=r.sent_at, channel=r.channel, template=r.template, rule=r.rule, topic=r.topic, held_by=r.held_by)
        for r in connection.execute(mine.order_by(message.c.sent_at, message.c.id))
    ]


def really_decided(connection: Connection, stretch: Stretch) -> frozenset[str]:
    """The rules that decided about the customer."""
    query = sa.select(decision.c.rule).where(
        among(connection, decision.c.customer_id, stretch.ids), *_within(decision.c.at, stretch)
    )
    return frozenset(connection.execute(query.distinct()).scalars())


def rules_of(names: Iterable[str], ruleset: Ruleset) -> list[Rule]:
    """The rules of these names that exist."""
    return [ruleset.rules[name] for name in sorted(names) if name in ruleset.rules]
