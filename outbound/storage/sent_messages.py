"""Messages that left, as the people who got them may ask about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage.sets import among
from outbound.storage.tables import leg, message

_LEFT = (MessageState.SENDING.value, MessageState.UNCERTAIN.value, MessageState.CLOSED_UNKNOWN.value)
"""States in which a message may have reached its reader although nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """One message: when it left (``at``, UTC), on which topic and channel, and its code."""

    at: datetime
    topic: str
    channel: str
    code: str


def by_code(connection: Connection, code: str) -> tuple[str, datetime] | None:
    """Topic of the message with this code and when it left, or None when no such message has left."""
    left = sa.func.coalesce(message.c.sent_at, message.c.date, type_=message.c.sent_at.type)
    query = (
        sa.select(message.c.topic, left)
        .where(message.c.verify_code == code, sa.or_(message.c.sent_at.is_not(None), message.c.state.in_(_LEFT)))
        .limit(1)
    )
    row = connection.execute(query).first()
    return (row[0], row[1]) if row else None


def of_customer(connection: Connection, ids: Sequence[str], *, limit: int) -> list[SentMessage]:
    """The newest messages that left for a customer (all the ids they ever had), newest first."""
    query = (
        sa.select(message.c.sent_at, message.c.topic, leg.c.channel, message.c.verify_code)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg))
        .where(among(connection, message.c.customer_id, ids), message.c.sent_at.is_not(None))
        .order_by(message.c.created_at.desc())
        .limit(limit)
    )
    return [
        SentMessage(at=row[0], topic=row[1], channel=row[2], code=row[3] or "")
        for row in connection.execute(query).all()
    ]
