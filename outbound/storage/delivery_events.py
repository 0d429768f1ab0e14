"""News about messages: kept once each, matched with the leg they are about, also when they come first."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind
from outbound.domain.message import MessageState
from outbound.storage.outbox import state_is
from outbound.storage.sets import among, chunks, insert_into
from outbound.storage.tables import attempt, delivery_event, interaction, leg, message

S = MessageState

_OURS = re.compile(r"([0-9a-f]{32})\.(\d{1,3})")
_MESSAGE_ID = re.compile(r"<([0-9a-f]{32})@[^<>@\s]+>")
_LOOKED_FOR = timedelta(hours=25)
"""So long an orphan is looked for: uncertain messages learn what their provider calls them within a day."""

_UNDER_WAY = (S.CLAIMED, S.SENDING)
"""The outcome of the handover is not written yet: news of it waits, and meets a message that knows what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The leg that news is about, and its message as it is now."""

    message_id: str
    leg: int
    current_leg: int
    channel: ChannelName
    channels: tuple[ChannelName, ...]
    address: str
    customer_id: str
    rule: str
    topic: str
    step: str
    state: MessageState
    expires: datetime
    moved_on: str
    mime_id: str
    provider_ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One piece of news as it is kept."""

    event: DeliveryEvent
    key: str
    inbox_id: str
    at: datetime
    received_at: datetime
    proven: bool
    detail: str = ""
    address_hash: str = ""
    automated: str = ""
    link: str = ""
    subject: Subject | None = None


def subjects(connection: Connection, events: Iterable[DeliveryEvent]) -> dict[tuple[str, str], Subject]:
    """The legs these events are about, by (``ours``, ``reference``); who is not in the answer has none yet.

    A leg whose handover is under way is not found either: what came of it is not written.
    """
    wanted = {(e.ours, e.reference) for e in events if e.ours or e.reference}
    by_ref = _by(connection, leg.c.provider_ref, [reference for _, reference in wanted if reference])
    named = {pair: _message_named(*pair) for pair in wanted}
    by_message = _by(connection, leg.c.message_id, [found[0] for found in named.values() if found])
    answer: dict[tuple[str, str], Subject] = {}
    for pair in wanted:
        found = named[pair]
        legs = by_message.get(found[0], []) if found else []
        if found and found[1]:
            legs = [one for one in legs if one.leg == found[1]]
        elif found:  # a Message-ID, or a link in a mail: about the leg that was a mail, whatever the message is at now
            mails = [one for one in legs if one.channel is ChannelName.EMAIL]
            legs = [one for one in mails if pair[0] or one.mime_id == pair[1]]
        legs = legs or by_ref.get(pair[1], [])
        if legs:
            answer[pair] = max(legs, key=lambda one: one.leg)
    return answer


def of_leg(connection: Connection, message_id: str) -> Subject | None:
    """The newest leg of a message."""
    found = _by(connection, leg.c.message_id, [message_id]).get(message_id, [])
    return max(found, key=lambda one: one.leg) if found else None


def last_to(
    connection: Connection, channel: ChannelName, address: str, *, since: datetime, customer_ids: Collection[str]
) -> Subject | None:
    """The newest leg that left for an address of one of these customers."""
    query = (
        _legs()
        .where(among(connection, leg.c.customer_id, list(customer_ids)), leg.c.at >= since)
        .where(leg.c.channel == channel.value, leg.c.address == address)
        .where(state_is(S.SENT, S.UNCERTAIN, S.CLOSED_UNKNOWN, S.READY, S.SCHEDULED, S.FAILED))
        .order_by(leg.c.at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _subject(row)


def keep(connection: Connection, facts: Sequence[Fact]) -> list[Fact]:
    """Keep facts; those that are news are answered, in the order given."""
    if not facts:
        return []
    unique = {(fact.event.provider, fact.key): fact for fact in reversed(facts)}
    statement = insert_into(connection, delivery_event).on_conflict_do_nothing()
    columns = (delivery_event.c.provider, delivery_event.c.key)
    fresh: set[tuple[str, str]] = set()
    for some in chunks(sorted(unique), 500):
        rows = [_row(unique[key]) for key in some]
        fresh.update((row[0], row[1]) for row in connection.execute(statement.values(rows).returning(*columns)))
    return [unique[key] for key in reversed(unique) if key in fresh]


def orphans(connection: Connection, *, now: datetime, limit: int = 500) -> list[Fact]:
    """Proven news that no message is known for yet, the newest first."""
    query = (
        sa.select(delivery_event)
        .where(delivery_event.c.message_id == sa.literal_column("''"), delivery_event.c.proven)
        .where(delivery_event.c.received_at >= now - _LOOKED_FOR)
        .order_by(delivery_event.c.received_at.desc())
        .limit(limit)
    )
    return [_fact(row) for row in connection.execute(query)]


def adopt(connection: Connection, facts: Sequence[Fact]) -> None:
    """Their messages are known now (``subject``)."""
    change = (
        sa.update(delivery_event)
        .where(delivery_event.c.provider == sa.bindparam("b_provider"), delivery_event.c.key == sa.bindparam("b_key"))
        .values(message_id=sa.bindparam("b_message"), leg=sa.bindparam("b_leg"), customer_id=sa.bindparam("b_customer"))
        .values(address_hash=sa.bindparam("b_hash"))
    )
    rows = [
        {
            "b_provider": fact.event.provider,
            "b_key": fact.key,
            "b_message": fact.subject.message_id,
            "b_leg": fact.subject.leg,
            "b_customer": fact.subject.customer_id,
            "b_hash": fact.address_hash,
        }
        for fact in facts
        if fact.subject is not None
    ]
    if rows:
        connection.execute(change, rows)


def proofs(connection: Connection, *, limit: int = 500) -> dict[str, str]:
    """Uncertain messages of which there is news of the leg they are at: message to ``provider kind``."""
    same = sa.and_(delivery_event.c.message_id == message.c.id, delivery_event.c.leg == message.c.leg)
    nothing = (DeliveryKind.UNKNOWN.value, DeliveryKind.SUBSCRIBED.value)
    query = (
        sa.select(message.c.id, delivery_event.c.provider, delivery_event.c.kind)
        .join(delivery_event, same)
        .where(state_is(S.UNCERTAIN), delivery_event.c.proven, delivery_event.c.kind.not_in(nothing))
        .limit(limit)
    )
    return {row.id: f"{row.provider} {row.kind}" for row in connection.execute(query)}


def soft_days(connection: Connection, hashes: Sequence[str], *, codes: Sequence[str], since: datetime) -> set[Any]:
    """On which days (UTC) the mailbox of an address was off or full."""
    query = sa.select(delivery_event.c.at).where(
        among(connection, delivery_event.c.address_hash, hashes),
        delivery_event.c.bounce == BounceKind.SOFT.value,
        delivery_event.c.code.in_(codes),
        delivery_event.c.proven,
        delivery_event.c.at > since,
    )
    return {at.date() for at in connection.execute(query).scalars()}


def answered(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Those of these messages that somebody has answered."""
    query = sa.select(interaction.c.message_id).where(among(connection, interaction.c.message_id, message_ids))
    return set(connection.execute(query.distinct()).scalars())


def left_at(connection: Connection, message_ids: Sequence[str]) -> dict[tuple[str, int], datetime]:
    """When the handover of each leg was."""
    last = sa.func.max(attempt.c.handoff_at, type_=attempt.c.handoff_at.type)
    query = sa.select(attempt.c.message_id, attempt.c.leg, last).group_by(attempt.c.message_id, attempt.c.leg)
    found = connection.execute(query.where(among(connection, attempt.c.message_id, message_ids))) if message_ids else ()
    return {(row[0], row[1]): row[2] for row in found if row[2] is not None}


def tried(connection: Connection, message_id: str) -> set[ChannelName]:
    """The channels of a message's legs so far."""
    query = sa.select(leg.c.channel).where(leg.c.message_id == message_id)
    return {ChannelName(name) for name in connection.execute(query).scalars()}


def waiting(connection: Connection, *, until: datetime, limit: int = 500) -> list[Fact]:
    """Clicks that came before ``until`` and are not judged, with the legs they are about."""
    columns = (delivery_event, delivery_event.c.message_id.label("about"), delivery_event.c.leg.label("about_leg"))
    query = (
        sa.select(*columns)
        .where(delivery_event.c.automated == sa.literal_column("'waits'"), delivery_event.c.received_at <= until)
        .order_by(delivery_event.c.received_at)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query):
        fact = _fact(row)
        found.append(replace(fact, event=replace(fact.event, ours=f"{row.about}.{row.about_leg}")))
    about = subjects(connection, [fact.event for fact in found])
    return [replace(fact, subject=about.get((fact.event.ours, fact.event.reference))) for fact in found]


def clicks(connection: Connection, message_ids: Sequence[str]) -> dict[str, list[tuple[datetime, str]]]:
    """When which link of each message was followed, by persons and machines."""
    found: dict[str, list[tuple[datetime, str]]] = {}
    query = sa.select(delivery_event.c.message_id, delivery_event.c.at, delivery_event.c.link)
    mine = among(connection, delivery_event.c.message_id, message_ids)
    for row in connection.execute(query.where(mine, delivery_event.c.link.is_not(None))):
        found.setdefault(row[0], []).append((row[1], row[2]))
    return found


def judged(connection: Connection, facts: Sequence[Fact]) -> None:
    """Write down why these clicks are likely a machine's, or that they are a person's (``automated``)."""
    change = (
        sa.update(delivery_event)
        .where(delivery_event.c.provider == sa.bindparam("b_provider"), delivery_event.c.key == sa.bindparam("b_key"))
        .values(automated=sa.bindparam("b_automated"))
    )
    rows = [{"b_provider": f.event.provider, "b_key": f.key, "b_automated": f.automated} for f in facts]
    if rows:
        connection.execute(change, rows)


def hits(connection: Connection, message_id: str, kind: DeliveryKind, provider: str) -> int:
    """How often a provider told of a message in this way."""
    query = sa.select(sa.func.count()).where(
        delivery_event.c.message_id == message_id,
        delivery_event.c.kind == kind.value,
        delivery_event.c.provider == provider,
    )
    return int(connection.execute(query).scalar_one())


def receive(connection: Connection, at_of: Mapping[tuple[str, int], datetime]) -> None:
    """Note that legs arrived, at the earliest time told; ``(message, leg)`` to time."""
    change = (
        sa.update(leg)
        .where(leg.c.message_id == sa.bindparam("b_id"), leg.c.n == sa.bindparam("b_n"))
        .where(sa.or_(leg.c.receipt_at.is_(None), leg.c.receipt_at > sa.bindparam("b_at", type_=leg.c.receipt_at.type)))
        .values(receipt_at=sa.bindparam("b_at", type_=leg.c.receipt_at.type))
    )
    rows = [{"b_id": message_id, "b_n": n, "b_at": at} for (message_id, n), at in sorted(at_of.items())]
    if rows:
        connection.execute(change, rows)


def _message_named(ours: str, reference: str) -> tuple[str, int] | None:
    """Message and leg (0: not said) that a reference of ours names: it is in our Message-ID too."""
    if found := _OURS.fullmatch(ours):
        return found[1], int(found[2])
    if found := _MESSAGE_ID.fullmatch(reference):
        return found[1], 0
    return None


def _legs() -> sa.Select[Any]:
    return sa.select(
        leg.c.message_id,
        leg.c.n,
        leg.c.channel,
        leg.c.address,
        leg.c.customer_id,
        leg.c.moved_on,
        leg.c.provider_ref,
        message.c.leg.label("current_leg"),
        message.c.channels,
        message.c.rule,
        message.c.topic,
        message.c.step,
        message.c.state,
        message.c.expires,
        message.c.message_id.label("mime_id"),
    ).join(message, message.c.id == leg.c.message_id)


def _by(connection: Connection, column: sa.Column[str], values: Sequence[str]) -> dict[str, list[Subject]]:
    found: dict[str, list[Subject]] = {}
    under_way = sa.and_(state_is(*_UNDER_WAY), leg.c.n == message.c.leg)
    for some in chunks(sorted({value for value in values if value})):
        for row in connection.execute(_legs().where(among(connection, column, some), sa.not_(under_way))):
            key = row.provider_ref if column is leg.c.provider_ref else row.message_id
            found.setdefault(key, []).append(_subject(row))
    return found


def _subject(row: Any) -> Subject:
    return Subject(
        message_id=row.message_id,
        leg=row.n,
        current_leg=row.current_leg,
        channel=ChannelName(row.channel),
        channels=tuple(ChannelName(name) for name in row.channels.split(",") if name),
        address=row.address,
        customer_id=row.customer_id,
        rule=row.rule,
        topic=row.topic,
        step=row.step,
        state=MessageState(row.state),
        expires=row.expires,
        moved_on=row.moved_on,
        mime_id=row.mime_id,
        provider_ref=row.provider_ref,
    )


def _row(fact: Fact) -> dict[str, Any]:
    event, subject = fact.event, fact.subject
    return {
        "provider": event.provider,
        "key": fact.key,
        "inbox_id": fact.inbox_id,
        "kind": event.kind.value,
        "bounce": event.bounce.value if event.bounce else "",
        "reason": event.reason.value if event.reason else "",
        "code": event.code[:40],
        "detail": fact.detail,
        "reference": event.reference[:300],
        "ours": event.ours,
        "message_id": subject.message_id if subject else "",
        "leg": subject.leg if subject else 0,
        "customer_id": subject.customer_id if subject else "",
        "address_hash": fact.address_hash,
        "proven": fact.proven,
        "automated": fact.automated,
        "link": fact.link or None,
        "at": fact.at,
        "received_at": fact.received_at,
    }


def _fact(row: Any) -> Fact:
    event = DeliveryEvent(
        provider=row.provider,
        kind=DeliveryKind(row.kind),
        reference=row.reference,
        ours=row.ours,
        bounce=BounceKind(row.bounce) if row.bounce else None,
        code=row.code,
        at=row.at,
    )
    return Fact(
        event=event,
        key=row.key,
        inbox_id=row.inbox_id,
        at=row.at,
        received_at=row.received_at,
        proven=row.proven,
        detail=row.detail,
        address_hash=row.address_hash,
        automated=row.automated,
        link=row.link or "",
    )
