"""All rows about one person, oldest first: what an export reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import Message
from outbound.storage.outbox import as_message, message_columns
from outbound.storage.sets import among
from outbound.storage.tables import (
    customer_change,
    decision,
    delivery_event,
    event,
    interaction,
    leg,
    membership,
    message,
    sms_in,
)

FORGOTTEN: Final[Mapping[str, Any]] = {"forgotten": {}}
"""The context of a message whose own was pruned: what it said is not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message with the leg it is at. ``forgotten``: its context was pruned."""

    message: Message
    channel: str
    address: str
    sent_at: datetime | None
    forgotten: bool


def messages(connection: Connection, ids: Sequence[str]) -> list[SentMessage]:
    """Every message of the customer."""
    query = (
        sa.select(*message_columns(), message.c.context.label("kept"), message.c.sent_at, leg.c.channel, leg.c.address)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg), isouter=True)
        .where(among(connection, message.c.customer_id, ids))
        .order_by(message.c.created_at, message.c.id)
    )
    return [
        SentMessage(
            message=as_message(own),
            channel=channel or "",
            address=address or "",
            sent_at=sent_at,
            forgotten=context == FORGOTTEN,
        )
        for *own, context, sent_at, channel, address in connection.execute(query)
    ]


def events(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Every event of the customer."""
    columns = (event.c.at, event.c.name, event.c.data, event.c.source, event.c.received_at)
    return _all(connection, sa.select(*columns), event, ids, event.c.at, event.c.id)


def changes(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The history of attributes, addresses and preferences."""
    table = customer_change
    columns = (table.c.at, table.c.attribute, table.c.old, table.c.new, table.c.source)
    return _all(connection, sa.select(*columns), table, ids, table.c.at, table.c.id)


def texts(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The texts that came in from the customer."""
    columns = (sms_in.c.at, sms_in.c.meaning, sms_in.c.keyword, sms_in.c.text, sms_in.c.effect, sms_in.c.review)
    return _all(connection, sa.select(*columns), sms_in, ids, sms_in.c.at, sms_in.c.id)


def interactions(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What the customer said to us, and what was noted about it."""
    names = ("at", "kind", "channel", "subject", "text", "address", "source", "by")
    columns = (interaction.c[name] for name in names)
    return _all(connection, sa.select(*columns), interaction, ids, interaction.c.at, interaction.c.id)


def deliveries(connection: Connection, ids: Sequence[str], address_hashes: Sequence[str]) -> list[dict[str, Any]]:
    """What providers and mail servers told about the customer's messages and addresses."""
    table = delivery_event
    names = ("at", "kind", "bounce", "reason", "code", "detail", "automated", "provider", "message_id", "received_at")
    theirs = sa.or_(
        among(connection, table.c.customer_id, ids), among(connection, table.c.address_hash, address_hashes)
    )
    query = sa.select(*(table.c[name] for name in names)).where(theirs)
    return [
        dict(row) for row in connection.execute(query.order_by(table.c.at, table.c.provider, table.c.key)).mappings()
    ]


def decisions(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """What rules decided about the customer, sent or not, and into which group of an experiment they fell."""
    table = decision
    names = ("at", "rule", "once", "step", "verdict", "reason", "detail", "channel", "experiment", "variant")
    columns = (table.c[name] for name in names)
    return _all(connection, sa.select(*columns), table, ids, table.c.at, table.c.rule, table.c.once, table.c.step)


def segments(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The segments that a rule watches and the customer is or was in: what we made of what we know (GDPR art. 15)."""
    table = membership
    columns = (table.c.at, table.c.segment, table.c.inside, table.c.entries)
    return _all(connection, sa.select(*columns), table, ids, table.c.segment)


def _all(
    connection: Connection, query: sa.Select[Any], table: sa.Table, ids: Sequence[str], *order: sa.ColumnElement[Any]
) -> list[dict[str, Any]]:
    mine = query.where(among(connection, table.c.customer_id, ids)).order_by(*order)
    return [dict(row) for row in connection.execute(mine).mappings()]
