"""Messages as other systems read them: what became of each, and neither address nor words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among
from outbound.storage.tables import leg, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One channel's turn. ``moved_on`` is why the next one was opened, ``delivered_at`` what the provider reported."""

    n: int
    channel: str
    moved_on: str
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message. ``customer_id`` is empty once its customer was erased."""

    id: str
    customer_id: str
    rule: str
    run_id: str
    template: str
    topic: str
    message_class: str
    state: str
    reason: str
    not_before: datetime
    expires: datetime
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None
    turns: tuple[Turn, ...]


_READ = (
    *(message.c.id, message.c.customer_id, message.c.rule, message.c.run_id, message.c.template, message.c.topic),
    *(message.c.message_class, message.c.state, message.c.reason, message.c.detail, message.c.not_before),
    *(message.c.expires, message.c.created_at, message.c.updated_at, message.c.sent_at, message.c.channels),
)


def of_customer(
    connection: Connection, ids: Sequence[str], *, limit: int, before: tuple[datetime, str] | None
) -> list[Told]:
    """The newest messages of a customer (all the ids they ever had), older than ``before`` (created_at, id)."""
    query = sa.select(*_READ).where(among(connection, message.c.customer_id, ids))
    if before is not None:
        at, key = before
        older = sa.or_(message.c.created_at < at, sa.and_(message.c.created_at == at, message.c.id < key))
        query = query.where(message.c.created_at <= at, older)
    query = query.order_by(message.c.created_at.desc(), message.c.id.desc()).limit(limit)
    return _told(connection, connection.execute(query).all())


def one(connection: Connection, message_id: str) -> Told | None:
    """One message."""
    return next(
        iter(_told(connection, connection.execute(sa.select(*_READ).where(message.c.id == message_id)).all())), None
    )


def _told(connection: Connection, rows: Sequence[Any]) -> list[Told]:
    query = sa.select(leg).where(among(connection, leg.c.message_id, [row.id for row in rows]))
    turns: dict[str, list[Turn]] = {}
    for row in connection.execute(query.order_by(leg.c.message_id, leg.c.n)):
        turn = Turn(n=row.n, channel=row.channel, moved_on=row.moved_on, delivered_at=row.receipt_at)
        turns.setdefault(row.message_id, []).append(turn)
    return [
        Told(
            id=row.id,
            customer_id=row.customer_id,
            rule=row.rule,
            run_id=row.run_id,
            template=row.template,
            topic=row.topic,
            message_class=row.message_class,
            state=row.state,
            reason=f"{row.reason}.{row.detail}" if row.reason and row.detail else row.reason or row.detail,
            not_before=row.not_before,
            expires=row.expires,
            created_at=row.created_at,
            updated_at=row.updated_at,
            sent_at=row.sent_at,
            turns=tuple(turns.get(row.id, ())),
        )
        for row in rows
    ]
