"""The consent ledger and what it says now, written by one transaction."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.hook import CONSENT_CHANGED
from outbound.domain.ids import content_hash
from outbound.storage import hooks, locks
from outbound.storage import ledger as chain
from outbound.storage.sets import among, insert_into
from outbound.storage.standing import EVERY_CHANNEL, Standing, Word, hear
from outbound.storage.tables import consent, consent_event

_EVIDENCE = frozenset(field.name for field in dataclasses.fields(Evidence))


def record(connection: Connection, event: ConsentEvent) -> bool:
    """Append what a person said and bring the projection up to date; call it inside ``database.write()``.

    Said of every channel, it also holds for each channel the person had spoken about before. Repeating what
    stands returns False; a repeated withdrawal only counts from its newest time on. What was said before
    the newest word on record goes into the ledger only. Locks the customer.
    """
    locks.customers(connection, [event.customer_id])
    word = Word(state=event.state, address=event.address, at=event.at, event_id=event.id)
    heard = hear(of_topic(connection, event.customer_id, event.topic), _channel(event), word)
    if heard.changes or heard.overtaken:
        chain.append(connection, [ledger_row(event)])
    write(connection, event.customer_id, event.topic, {**heard.renewed, **heard.changes})
    if heard.changes:
        hooks.tell(connection, [_news(event)], now=event.recorded_at)
    return bool(heard.changes) or heard.overtaken


def _news(event: ConsentEvent) -> hooks.Told:
    """A consent as other systems are told of it: without address and evidence; no ``channel`` means every one."""
    channel = {"channel": event.channel.value} if event.channel else {}
    data = {"topic": event.topic, "state": event.state.value, **channel}
    return hooks.Told(event=CONSENT_CHANGED, key=event.id, customer_id=event.customer_id, at=event.at, data=data)


def of_topic(connection: Connection, customer_id: str, topic: str) -> dict[str, Word]:
    """What stands about ``topic``, by channel."""
    query = sa.select(consent).where(consent.c.customer_id == customer_id, consent.c.topic == topic)
    return {
        row.channel: Word(state=ConsentState(row.state), address=row.address, at=row.at, event_id=row.event_id)
        for row in connection.execute(query)
    }


def write(connection: Connection, customer_id: str, topic: str, words: Standing) -> None:
    """Let ``words`` stand on their channels."""
    statement = insert_into(connection, consent)
    statement = statement.on_conflict_do_update(
        index_elements=["customer_id", "topic", "channel"],
        set_={name: statement.excluded[name] for name in ("state", "address", "at", "event_id")},
    )
    for channel, word in sorted(words.items()):
        row = {"customer_id": customer_id, "topic": topic, "channel": channel, "state": word.state.value}
        connection.execute(statement, row | {"address": word.address, "at": word.at, "event_id": word.event_id})


def any_granted(connection: Connection, *, after: datetime, upto: datetime) -> bool:
    """Whether somebody's yes was recorded after ``after`` and up to ``upto``."""
    said = sa.and_(
        consent_event.c.state == ConsentState.GRANTED.value,
        consent_event.c.recorded_at > after,
        consent_event.c.recorded_at <= upto,
    )
    return connection.execute(sa.select(consent_event.c.id).where(said).limit(1)).first() is not None


def newest_word(connection: Connection, customer_id: str, topic: str) -> datetime | None:
    """When the newest word on record about ``topic`` was said, on any channel."""
    return max((word.at for word in of_topic(connection, customer_id, topic).values()), default=None)


def ledger_row(event: ConsentEvent) -> dict[str, Any]:
    """The columns of the ledger for one event, with the hash of the wording that was shown."""
    evidence = {name: value for name, value in dataclasses.asdict(event.evidence).items() if value}
    if event.evidence.wording:
        evidence["wording_hash"] = content_hash(event.evidence.wording.encode())
    return {
        "id": event.id,
        "customer_id": event.customer_id,
        "topic": event.topic,
        "channel": _channel(event),
        "state": event.state.value,
        "address": event.address,
        "at": event.at,
        "recorded_at": event.recorded_at,
        "evidence": evidence,
    }


def ledger(connection: Connection, customer_id: str) -> tuple[ConsentEvent, ...]:
    """Everything the customer said, oldest first."""
    query = sa.select(consent_event).where(consent_event.c.customer_id == customer_id)
    return tuple(_event(row) for row in connection.execute(query.order_by(consent_event.c.at, consent_event.c.id)))


def chained(connection: Connection, customer_ids: Sequence[str]) -> list[tuple[ConsentEvent, dict[str, Any]]]:
    """Every event of these ids in the order it was recorded, with its place in its chain."""
    query = sa.select(consent_event).where(among(connection, consent_event.c.customer_id, customer_ids))
    rows = connection.execute(query.order_by(consent_event.c.chain, consent_event.c.n, consent_event.c.id))
    links = ("n", "previous", "hash")
    return [(_event(row), {name: getattr(row, name) for name in links} | _wording(row)) for row in rows]


def _wording(row: Any) -> dict[str, Any]:
    return {"wording_hash": row.evidence.get("wording_hash", "")}


def _channel(event: ConsentEvent) -> str:
    return event.channel.value if event.channel else EVERY_CHANNEL


def _event(row: Any) -> ConsentEvent:
    return ConsentEvent(
        id=row.id,
        customer_id=row.customer_id,
        topic=row.topic,
        channel=ChannelName(row.channel) if row.channel else None,
        state=ConsentState(row.state),
        at=row.at,
        recorded_at=row.recorded_at,
        evidence=Evidence(**{"source": "", **{k: v for k, v in row.evidence.items() if k in _EVIDENCE}}),
        address=row.address,
    )
