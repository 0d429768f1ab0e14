"""Contacts in: recorded once each, read as part of the timeline."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.sets import among
from outbound.storage.tables import interaction

_COLUMNS = (
    *("id", "customer_id", "kind", "channel", "subject", "text", "address", "message_id", "leg", "source", "key"),
    *("by", "attention", "details", "at", "recorded_at", "inbox_id"),
)


def add(connection: Connection, contact: Interaction, *, inbox_id: str = "") -> bool:
    """Record a contact; False when its source has given the same key before, and then nothing changes."""
    instant = instant_writer(connection)
    row = (
        contact.id,
        contact.customer_id,
        contact.kind.value,
        contact.channel.value if contact.channel else "",
        contact.subject,
        contact.text,
        contact.address,
        contact.message_id,
        contact.leg,
        contact.source,
        contact.key,
        contact.by,
        contact.attention,
        json_text(dict(contact.details)),
        instant(contact.at),
        instant(contact.recorded_at),
        inbox_id,
    )
    return insert_ignore(connection, interaction, _COLUMNS, [row]) == 1


def by_key(connection: Connection, source: str, key: str) -> Interaction | None:
    """The contact that ``source`` knows by ``key``."""
    if not key:
        return None
    query = sa.select(interaction).where(interaction.c.source == source, interaction.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _contact(row)


def of_customer(
    connection: Connection, ids: Sequence[str], *, limit: int, before: tuple[datetime, str] | None
) -> list[Interaction]:
    """The newest contacts of a customer (all the ids they ever had), older than ``before`` (at, id)."""
    query = sa.select(interaction).where(among(connection, interaction.c.customer_id, ids))
    if before is not None:
        at, key = before
        older = sa.or_(interaction.c.at < at, sa.and_(interaction.c.at == at, interaction.c.id < key))
        query = query.where(interaction.c.at <= at, older)
    query = query.order_by(interaction.c.at.desc(), interaction.c.id.desc()).limit(limit)
    return [_contact(row) for row in connection.execute(query)]


def _contact(row: Any) -> Interaction:
    return Interaction(
        id=row.id,
        customer_id=row.customer_id,
        kind=InteractionKind(row.kind),
        channel=ChannelName(row.channel) if row.channel else None,
        text=row.text,
        at=row.at,
        recorded_at=row.recorded_at,
        source=row.source,
        key=row.key,
        subject=row.subject,
        address=row.address,
        message_id=row.message_id,
        leg=row.leg,
        by=row.by,
        attention=row.attention,
        details=row.details,
    )
