"""Events that rules have not seen yet, told apart by whether their customer is known."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.storage import tables
from outbound.storage.prepared import Prepared

_KNOWN = sa.exists().where(tables.customer.c.id == tables.event.c.customer_id)


_READ = (
    tables.event.c.id,
    tables.event.c.name,
    tables.event.c.customer_id,
    tables.event.c.data,
    tables.event.c.at,
    tables.event.c.received_at,
)
_TAKE = Prepared(
    sa.select(*_READ, sa.func.coalesce(tables.customer.c.merged_into, tables.customer.c.id).label("survivor"))
    .join(tables.customer, tables.customer.c.id == tables.event.c.customer_id)
    .where(tables.event.c.handled_at.is_(None), tables.event.c.at <= sa.bindparam("now", type_=tables.event.c.at.type))
    .order_by(tables.event.c.received_at, tables.event.c.id)
    .limit(sa.bindparam("limit"))
)
_COUNT = Prepared(
    sa.select(sa.func.count()).select_from(
        sa.select(tables.event.c.id).where(tables.event.c.handled_at.is_(None)).limit(sa.bindparam("most")).subquery()
    )
)


def ignore_unheard(connection: Connection, heard: Collection[str], *, now: datetime) -> int:
    """Mark the events no rule listens to as handled. ``heard`` are the names rules listen to."""
    event = tables.event
    statement = event.update().where(event.c.handled_at.is_(None), event.c.name.not_in(sorted(heard)))
    return connection.execute(statement.values(handled_at=now)).rowcount


@dataclass(frozen=True, slots=True)
class Taken:
    """Pending events of known customers, and whether any other one waits too."""

    events: Sequence[Event]
    others: bool


def take(connection: Connection, *, now: datetime, limit: int) -> Taken:
    """Pending events that happened by ``now`` to customers in the store, in the order they were received.

    An event of a merged customer is handed out as one of the customer they live on as.
    """
    rows = _TAKE.rows(connection, {"now": now, "limit": limit})
    events = [_event(row, row[-1]) for row in rows]
    [[waiting]] = _COUNT.rows(connection, {"most": len(rows) + 1})
    return Taken(events, waiting > len(rows))


def of_unknown(
    connection: Connection,
    *,
    names: Collection[str],
    received_by: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Event]:
    """Pending events called ``names``, of nobody in the store, received by then; ``after`` continues a page."""
    event = tables.event
    conditions: list[sa.ColumnElement[bool]] = [event.c.name.in_(sorted(names)), event.c.received_at <= received_by]
    if after is not None:
        at, identity = after
        later = sa.and_(event.c.received_at == at, event.c.id > identity)
        conditions.append(sa.or_(event.c.received_at > at, later))
    return _select(connection, sa.not_(_KNOWN), *conditions, limit=limit)


def oldest_unknown(connection: Connection) -> dict[str, datetime]:
    """By name, when the oldest pending event of an unknown customer was received."""
    event = tables.event
    statement = (
        sa.select(event.c.name, sa.func.min(event.c.received_at, type_=event.c.received_at.type))
        .where(event.c.handled_at.is_(None), sa.not_(_KNOWN))
        .group_by(event.c.name)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def earliest(connection: Connection) -> datetime | None:
    """When the earliest pending event of a known customer happened (or will have)."""
    event = tables.event
    return connection.execute(
        sa.select(sa.func.min(event.c.at, type_=event.c.at.type)).where(event.c.handled_at.is_(None), _KNOWN)
    ).scalar()


def newest_of(connection: Connection, customer_id: str, name: str) -> Event | None:
    """The customer's newest event of one name, for previews."""
    event = tables.event
    statement = sa.select(*_READ).where(event.c.customer_id == customer_id, event.c.name == name)
    row = connection.execute(statement.order_by(event.c.at.desc()).limit(1)).first()
    return None if row is None else _event(row)


def handled_between(
    connection: Connection,
    *,
    names: Collection[str],
    start: datetime,
    end: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[Event]:
    """Events called ``names`` that rules have seen and that happened from ``start`` on, before ``end``.

    Of customers in the store, in the order they happened; ``after`` continues a page.
    """
    event, customer = tables.event, tables.customer
    conditions = [
        event.c.handled_at.is_not(None),
        event.c.name.in_(sorted(names)),
        event.c.at >= start,
        event.c.at < end,
    ]
    if after is not None:
        at, identity = after
        conditions.append(sa.or_(event.c.at > at, sa.and_(event.c.at == at, event.c.id > identity)))
    query = (
        sa.select(*_READ, sa.func.coalesce(customer.c.merged_into, customer.c.id).label("survivor"))
        .join(customer, customer.c.id == event.c.customer_id)
        .where(*conditions)
        .order_by(event.c.at, event.c.id)
        .limit(limit)
    )
    return [_event(row, row[-1]) for row in connection.execute(query)]


def _select(connection: Connection, *conditions: sa.ColumnElement[bool], limit: int) -> list[Event]:
    event = tables.event
    statement = sa.select(*_READ).where(event.c.handled_at.is_(None), *conditions)
    return [_event(row) for row in connection.execute(statement.order_by(event.c.received_at, event.c.id).limit(limit))]


def _event(row: Any, customer_id: str = "") -> Event:
    return Event(
        id=row[0],
        name=row[1],
        customer_id=customer_id or row[2],
        data=row[3],
        at=row[4],
        received_at=row[5],
    )


def ids_of(events: Sequence[Event]) -> list[str]:
    """Their ids."""
    return [e.id for e in events]
