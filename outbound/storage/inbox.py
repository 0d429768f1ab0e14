"""Requests and mails as they came: kept before they are answered, worked on once each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.sets import among
from outbound.storage.tables import inbox_event

_COLUMNS = ("id", "provider", "key", "raw", "head", "received_at", "trouble", "tries")
_ARRAYS = ("text[]", "text[]", "text[]", "bytea[]", "text[]", "timestamptz[]")
_KEEP = f"""INSERT INTO inbox_event ({", ".join(_COLUMNS)})
SELECT i, p, k, b, h::jsonb, r, '', 0 FROM unnest({", ".join(f"%s::{kind}" for kind in _ARRAYS)}) AS a(i, p, k, b, h, r)
ON CONFLICT DO NOTHING"""
"""A group in one statement: for PostgreSQL a statement costs more than a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """One of them. ``head``: content type and address, what its parser needs beside the body."""

    id: str
    provider: str
    key: str
    raw: bytes
    received_at: datetime
    head: dict[str, Any] = field(default_factory=dict)
    tries: int = 0
    trouble: str = ""
    processed_at: datetime | None = None


def keep(connection: Connection, arrived: Sequence[Raw]) -> int:
    """Keep them; one that its provider has sent before is left as it is. Answers how many were new."""
    instant = instant_writer(connection)
    rows = [(r.id, r.provider, r.key, r.raw, json_text(r.head), instant(r.received_at), "", 0) for r in arrived]
    rows.sort(key=lambda row: row[1:3])  # several writers, one order of keys
    if connection.dialect.name == "sqlite":
        return insert_ignore(connection, inbox_event, _COLUMNS, rows)
    columns = [list(column) for column in zip(*rows, strict=True)][: len(_ARRAYS)]
    return connection.exec_driver_sql(_KEEP, tuple(columns)).rowcount if rows else 0


def waiting(connection: Connection, *, limit: int, after: str = "") -> list[Raw]:
    """The oldest that nobody has worked on, in the order of their ids."""
    query = sa.select(inbox_event).where(inbox_event.c.processed_at.is_(None), inbox_event.c.id > after)
    return [_raw(row) for row in connection.execute(query.order_by(inbox_event.c.id).limit(limit))]


def lock(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these still wait; they are ours to the end of the transaction. Another process may have the others."""
    query = sa.select(inbox_event.c.id).where(
        among(connection, inbox_event.c.id, ids), inbox_event.c.processed_at.is_(None)
    )
    return set(connection.execute(query.order_by(inbox_event.c.id).with_for_update(skip_locked=True)).scalars())


def done(connection: Connection, ids: Sequence[str], *, now: datetime) -> None:
    """They were worked on."""
    change = sa.update(inbox_event).where(among(connection, inbox_event.c.id, ids))
    connection.execute(change.values(processed_at=now, trouble=""))


def failed(connection: Connection, identity: str, trouble: str, *, final: bool, now: datetime) -> None:
    """It could not be worked on; ``final``: it is not tried again until an operator asks."""
    change = sa.update(inbox_event).where(inbox_event.c.id == identity)
    values: dict[str, Any] = {"trouble": trouble[:200], "tries": inbox_event.c.tries + 1}
    connection.execute(change.values(**values, **({"processed_at": now} if final else {})))


def again(connection: Connection, ids: Sequence[str]) -> int:
    """Work on them once more, whatever became of them: all that they change, they change once."""
    change = sa.update(inbox_event).where(among(connection, inbox_event.c.id, ids))
    return connection.execute(change.values(processed_at=None, tries=0)).rowcount


def listed(connection: Connection, *, provider: str = "", troubled: bool = False, limit: int = 50) -> list[Raw]:
    """The newest, without their bodies' bytes being of use to anybody but ``find``."""
    query = sa.select(inbox_event)
    if provider:
        query = query.where(inbox_event.c.provider == provider)
    if troubled:
        query = query.where(inbox_event.c.trouble != "")
    return [_raw(row) for row in connection.execute(query.order_by(inbox_event.c.id.desc()).limit(limit))]


def find(connection: Connection, identity: str) -> Raw | None:
    """One of them, whole."""
    row = connection.execute(sa.select(inbox_event).where(inbox_event.c.id == identity)).one_or_none()
    return None if row is None else _raw(row)


def empty_before(connection: Connection, before: datetime, *, limit: int = 1_000) -> int:
    """Drop the bytes of what was worked on before then; its key stays, so that it is never taken for new."""
    old = (
        sa.select(inbox_event.c.id)
        .where(inbox_event.c.received_at < before, inbox_event.c.processed_at.is_not(None))
        .where(sa.func.length(inbox_event.c.raw) > 0)
        .limit(limit)
    )
    change = sa.update(inbox_event).where(inbox_event.c.id.in_(old)).values(raw=b"", head={})
    return connection.execute(change).rowcount


def _raw(row: Any) -> Raw:
    return Raw(
        id=row.id,
        provider=row.provider,
        key=row.key,
        raw=row.raw,
        head=row.head,
        received_at=row.received_at,
        tries=row.tries,
        trouble=row.trouble,
        processed_at=row.processed_at,
    )
