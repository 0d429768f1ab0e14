"""Texts that came in: each once, what they meant, and those that wait for a person to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among, insert_into
from outbound.storage.tables import sms_in

OPEN = "open"
"""A text that nobody has read yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextIn:
    """One text. ``hash`` stands for its number, ``text`` is empty where nobody needs to read it."""

    id: str
    hash: str
    customer_id: str
    meaning: str
    keyword: str
    text: str
    sent_to: str
    effect: str
    review: str
    reviewed_by: str
    reviewed_at: datetime | None
    at: datetime


def add(connection: Connection, text: TextIn) -> bool:
    """Record a text. False when its id is on record: the same text once more."""
    row = {column.name: getattr(text, column.name) for column in sms_in.columns}
    statement = insert_into(connection, sms_in).values(row).on_conflict_do_nothing().returning(sms_in.c.id)
    return connection.execute(statement).first() is not None


def one(connection: Connection, identity: str) -> TextIn | None:
    """The text of this id."""
    row = connection.execute(sa.select(sms_in).where(sms_in.c.id == identity)).mappings().first()
    return TextIn(**row) if row else None


def newest_effect(connection: Connection, hashes: Sequence[str], effects: Sequence[str]) -> str:
    """The newest of ``effects`` that a text from one of these numbers had; "" for none."""
    query = sa.select(sms_in.c.effect).where(among(connection, sms_in.c.hash, hashes), sms_in.c.effect.in_(effects))
    found: str | None = connection.execute(query.order_by(sms_in.c.at.desc(), sms_in.c.id.desc()).limit(1)).scalar()
    return found or ""


def waiting(connection: Connection, *, limit: int) -> tuple[TextIn, ...]:
    """Texts that wait for a person, the oldest first."""
    query = sa.select(sms_in).where(sms_in.c.review == OPEN).order_by(sms_in.c.at, sms_in.c.id).limit(limit)
    return tuple(TextIn(**row) for row in connection.execute(query).mappings())


def count_waiting(connection: Connection) -> int:
    """How many texts wait for a person."""
    query = sa.select(sa.func.count()).select_from(sms_in).where(sms_in.c.review == OPEN)
    return int(connection.execute(query).scalar_one())


def open_of(connection: Connection, hashes: Sequence[str]) -> tuple[str, ...]:
    """The texts from these numbers that wait for a person."""
    query = sa.select(sms_in.c.id).where(sms_in.c.review == OPEN, among(connection, sms_in.c.hash, hashes))
    return tuple(connection.execute(query.order_by(sms_in.c.id)).scalars())


def change(connection: Connection, ids: Sequence[str], values: Mapping[str, Any]) -> int:
    """Write down what became of some texts."""
    return connection.execute(sms_in.update().where(among(connection, sms_in.c.id, ids)).values(**values)).rowcount
