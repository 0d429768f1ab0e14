"""Customers whose zone has changed and whom planning has not looked at since (``customer.moved_from``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage import locks
from outbound.storage.outbox import state_is
from outbound.storage.sets import among
from outbound.storage.tables import customer, firing, manifest, message, run


@dataclass(frozen=True, slots=True)
class Mover:
    """A customer who moved: the zone source they had when planning last knew them, and the one they have."""

    id: str
    before: str
    source: str
    country: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A queued message that only waits for its own time."""

    id: str
    customer_id: str
    rule: str
    zone: str
    local_time: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retimed:
    """When that message leaves instead."""

    id: str
    zone: str
    not_before: datetime
    expires: datetime


def movers(connection: Connection, *, after: str, limit: int) -> list[Mover]:
    """The next customers by id who moved, behind id ``after``."""
    statement = sa.select(customer.c.id, customer.c.moved_from, customer.c.zone_source, customer.c.country).where(
        customer.c.moved_from.is_not(None), customer.c.merged_into.is_(None), customer.c.id > after
    )
    rows = connection.execute(statement.order_by(customer.c.id).limit(limit)).all()
    return [Mover(row[0], row[1], row[2], row[3]) for row in rows]


def settled(connection: Connection, seen: Sequence[Mover]) -> None:
    """Planning has looked at them where they are. Who moved on in the meantime stays a mover."""
    if seen:
        connection.execute(
            sa.update(customer)
            .where(customer.c.id == sa.bindparam("mover"), customer.c.zone_source == sa.bindparam("seen"))
            .values(moved_from=None),
            [{"mover": one.id, "seen": one.source} for one in seen],
        )


def waiting(connection: Connection, customers: Sequence[str]) -> list[Waiting]:
    """Their messages that wait for a wall-clock time, locked (``storage.locks``): no gate held them, none was tried."""
    locks.customers(connection, customers)
    statement = sa.select(
        message.c.id, message.c.customer_id, message.c.rule, message.c.zone, message.c.local_time, message.c.expires
    ).where(
        among(connection, message.c.customer_id, customers),
        state_is(MessageState.SCHEDULED, MessageState.READY),
        message.c.held_by == "",
        message.c.local_time != "",
        message.c.attempts == 0,
        message.c.leg == 1,
    )
    statement = statement.order_by(message.c.id)
    if connection.dialect.name != "sqlite":
        statement = statement.with_for_update()
    return [
        Waiting(id=row[0], customer_id=row[1], rule=row[2], zone=row[3], local_time=row[4], expires=row[5])
        for row in connection.execute(statement).all()
    ]


def retime(connection: Connection, changes: Sequence[Retimed], *, now: datetime) -> None:
    """Give waiting messages another zone and time; each is scheduled again."""
    if changes:
        connection.execute(
            sa.update(message)
            .where(message.c.id == sa.bindparam("waiting"))
            .values(
                zone=sa.bindparam("b_zone"),
                not_before=sa.bindparam("b_not_before"),
                expires=sa.bindparam("b_expires"),
                state=MessageState.SCHEDULED.value,
                updated_at=now,
            ),
            [
                {"waiting": one.id, "b_zone": one.zone, "b_not_before": one.not_before, "b_expires": one.expires}
                for one in changes
            ],
        )


def ran(connection: Connection, *, rule: str, slot: str, zone: str) -> bool:
    """Whether planning of (rule, slot, zone) is done or has begun, and it was not merely noted as missed."""
    mine = (firing.c.rule == rule, firing.c.slot == slot, firing.c.zone == zone)
    note = connection.execute(sa.select(firing.c.note).where(*mine)).scalar()
    if note is not None:
        return bool(note == "")
    pieces = sa.or_(
        manifest.c.zone.startswith(f"{zone}#", autoescape=True), manifest.c.zone.startswith(f"{zone} ", autoescape=True)
    )
    begun = sa.select(sa.literal(1)).join_from(manifest, run, run.c.id == manifest.c.run_id)
    return connection.execute(begun.where(run.c.rule == rule, run.c.slot == slot, pieces).limit(1)).first() is not None
