"""The consent ledger and what it says now, written by one transaction."""

import dataclasses
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence
from outbound.domain.customer import ChannelName
from outbound.storage.sets import insert_into
from outbound.storage.tables import consent, consent_event


def record(connection: Connection, event: ConsentEvent) -> bool:
    """Append what a person said and bring the projection up to date; call it inside ``database.write()``.

    Said of every channel, it also holds for each channel the person had spoken about before. Repeating what
    stands changes nothing and returns False. What was said before the newest word on record goes into the
    ledger only.
    """
    current = _current(connection, event.customer_id, event.topic)
    channel = event.channel.value if event.channel else ""
    targets = {channel} if channel else {"", *current}
    overtaken = {c for c in targets if c in current and current[c].at > event.at}
    stale = {c for c in targets - overtaken if c not in current or _differs(current[c], event)}
    if not stale and not overtaken:
        return False
    connection.execute(sa.insert(consent_event).values(**ledger_row(event)))
    statement = insert_into(connection, consent)
    statement = statement.on_conflict_do_update(
        index_elements=["customer_id", "topic", "channel"],
        set_={name: statement.excluded[name] for name in ("state", "address", "at", "event_id")},
        where=consent.c.at <= statement.excluded.at,
    )
    for name in sorted(stale):
        row = {"customer_id": event.customer_id, "topic": event.topic, "channel": name, "state": event.state.value}
        connection.execute(statement, row | {"address": event.address, "at": event.at, "event_id": event.id})
    return True


def newest_word(connection: Connection, customer_id: str, topic: str) -> datetime | None:
    """When the newest word on record about ``topic`` was said, on any channel."""
    return max((row.at for row in _current(connection, customer_id, topic).values()), default=None)


def ledger_row(event: ConsentEvent) -> dict[str, Any]:
    """The columns of the ledger for one event."""
    return {
        "id": event.id,
        "customer_id": event.customer_id,
        "topic": event.topic,
        "channel": event.channel.value if event.channel else "",
        "state": event.state.value,
        "address": event.address,
        "at": event.at,
        "recorded_at": event.recorded_at,
        "evidence": {name: value for name, value in dataclasses.asdict(event.evidence).items() if value},
    }


def ledger(connection: Connection, customer_id: str) -> tuple[ConsentEvent, ...]:
    """Everything the customer said, oldest first."""
    query = sa.select(consent_event).where(consent_event.c.customer_id == customer_id)
    return tuple(_event(row) for row in connection.execute(query.order_by(consent_event.c.at, consent_event.c.id)))


def _current(connection: Connection, customer_id: str, topic: str) -> dict[str, Row[Any]]:
    query = sa.select(consent).where(consent.c.customer_id == customer_id, consent.c.topic == topic)
    if connection.dialect.name != "sqlite":
        query = query.with_for_update()
    return {row.channel: row for row in connection.execute(query)}


def _differs(row: Row[Any], event: ConsentEvent) -> bool:
    if row.state != event.state.value:
        return True
    return event.state is ConsentState.GRANTED and event.address is not None and row.address != event.address


def _event(row: Any) -> ConsentEvent:
    return ConsentEvent(
        id=row.id,
        customer_id=row.customer_id,
        topic=row.topic,
        channel=ChannelName(row.channel) if row.channel else None,
        state=ConsentState(row.state),
        at=row.at,
        recorded_at=row.recorded_at,
        evidence=Evidence(**{"source": "", **row.evidence}),
        address=row.address,
    )
