"""The log of what operators did: one row for a command, or one for each message it was about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.ids import new_id, new_ids
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.sets import among, chunks
from outbound.storage.tables import message, operation

_COLUMNS = ("id", "at", "kind", "subject", "by", "note", "details", "message_id", "customer_id")


def record(
    connection: Connection,
    *,
    kind: str,
    subject: str,
    by: str,
    note: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down one command."""
    row = {"id": new_id(now), "at": now, "kind": kind, "subject": subject, "by": by, "note": note}
    connection.execute(operation.insert(), {**row, "details": dict(details or {}), "message_id": "", "customer_id": ""})


def record_each(
    connection: Connection, ids: Sequence[str], *, kind: str, subject: str, by: str, note: str, now: datetime
) -> None:
    """Write down what was done to each of these messages: the timelines of their customers show it."""
    at = instant_writer(connection)(now)
    for some in chunks(ids):
        query = sa.select(message.c.id, message.c.customer_id, message.c.rule).where(
            among(connection, message.c.id, some)
        )
        found = connection.execute(query).all()
        rows = [
            (identity, at, kind, subject or row.rule, by, note, json_text({"rule": row.rule}), row.id, row.customer_id)
            for identity, row in zip(new_ids(now, len(found)), found, strict=True)
        ]
        insert_ignore(connection, operation, _COLUMNS, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One entry of the log."""

    id: str
    at: datetime
    kind: str
    subject: str
    by: str
    note: str
    details: Mapping[str, Any]
    message_id: str
    customer_id: str


def listed(
    connection: Connection, *, by: str, about: str, kind: str, since: datetime | None, limit: int
) -> tuple[Operation, ...]:
    """The newest entries first; what is "" or None does not narrow. ``about`` is a customer, message, run or switch."""
    query = sa.select(operation).order_by(operation.c.at.desc(), operation.c.id.desc()).limit(limit)
    if by:
        query = query.where(operation.c.by == by)
    if about:
        columns = (operation.c.subject, operation.c.customer_id, operation.c.message_id)
        query = query.where(sa.or_(*(column == about for column in columns)))
    if kind:
        query = query.where(operation.c.kind.startswith(kind, autoescape=True))
    if since is not None:
        query = query.where(operation.c.at >= since)
    return tuple(Operation(**row) for row in connection.execute(query).mappings())
