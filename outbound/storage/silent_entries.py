"""Who comes into a segment by history alone: noted as inside without an entry, in the transaction that writes it.

Before the history is written, ``outside`` notes who of those it concerns is out. Afterwards ``note`` takes the ones
it brought in as known. Who was in already, or in whose way something else came meanwhile, is left to planning.
The caller holds ``memberships.LOCK`` from before the first call to the end of the transaction.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.audience import Members
from outbound.storage.memberships import Inside
from outbound.storage.sets import insert_into
from outbound.storage.tables import customer, customer_change, event, membership

_STAGED: Final = sa.table("stage_event", sa.column("customer_id", sa.Text))
_OUTSIDE: Final = sa.table(
    "stage_outside", sa.column("segment", sa.Text), sa.column("customer_id", sa.Text), sa.column("waiting", sa.Integer)
)
_ENTRY: Final = sa.table("stage_entry", sa.column("segment", sa.Text), sa.column("customer_id", sa.Text))


def outside(
    connection: Connection,
    segment: str,
    members: Members,
    inside: Inside,
    *,
    events: Collection[str],
    attributes: Collection[str],
) -> None:
    """Note who of ``stage_event`` is not in the segment, and how much of what it looks at waits for planning."""
    known = sa.exists().where(
        membership.c.segment == segment, membership.c.customer_id == customer.c.id, membership.c.inside
    )
    found = sa.select(sa.literal(segment, sa.Text()), customer.c.id, _waiting(events, attributes)).where(
        *_concerned(members, sa.select(_STAGED.c.customer_id)), ~known, sa.not_(sa.and_(sa.true(), *inside))
    )
    connection.execute(_OUTSIDE.insert().from_select(["segment", "customer_id", "waiting"], found))


def came_in(
    connection: Connection,
    segment: str,
    members: Members,
    inside: Inside,
    *,
    events: Collection[str],
    attributes: Collection[str],
) -> None:
    """Find who of those outside is in the segment now, and nothing that planning will look at came meanwhile."""
    same = sa.and_(_OUTSIDE.c.customer_id == customer.c.id, _OUTSIDE.c.segment == segment)
    found = (
        sa.select(sa.literal(segment, sa.Text()), customer.c.id)
        .join(_OUTSIDE, same)
        .where(*_living(members), *inside, _OUTSIDE.c.waiting == _waiting(events, attributes))
    )
    connection.execute(_ENTRY.insert().from_select(["segment", "customer_id"], found))


def note(connection: Connection, *, now: datetime) -> int:
    """Take them as known, and answer how many memberships that is. The count of their entries goes on."""
    if connection.dialect.name == "postgresql":  # storage.locks: customers first, in one statement, by id
        mine = customer.c.id.in_(sa.select(_ENTRY.c.customer_id))
        locked = sa.select(customer.c.id).where(mine).order_by(customer.c.id).with_for_update().subquery()
        connection.execute(sa.select(sa.func.count()).select_from(locked))
    here = (
        sa.select(
            _ENTRY.c.segment,
            customer.c.id,
            sa.true(),
            sa.literal(0, sa.Integer()),
            sa.literal(now, membership.c.at.type),
        )
        .join(customer, customer.c.id == _ENTRY.c.customer_id)
        .where(customer.c.merged_into.is_(None))
    )
    columns = ["segment", "customer_id", "inside", "entries", "at"]
    insert = insert_into(connection, membership).from_select(columns, here)
    fresh = {"inside": True, "entries": membership.c.entries + 1, "at": now}
    connection.execute(insert.on_conflict_do_update(index_elements=["segment", "customer_id"], set_=fresh))
    return connection.execute(sa.select(sa.func.count()).select_from(_ENTRY)).scalar_one()


def _waiting(events: Collection[str], attributes: Collection[str]) -> sa.ColumnElement[int]:
    """How many events and changes of the customer, of those the segment looks at, no planner has seen."""
    unseen = sa.select(sa.func.count()).where(
        event.c.customer_id == customer.c.id, event.c.handled_at.is_(None), event.c.name.in_(sorted(events))
    )
    marked = sa.select(sa.func.count()).where(
        customer_change.c.customer_id == customer.c.id,
        customer_change.c.pending,
        customer_change.c.attribute.in_(sorted(attributes)),
    )
    return unseen.correlate(customer).scalar_subquery() + marked.correlate(customer).scalar_subquery()


def _concerned(members: Members, ids: sa.Select[tuple[str]]) -> list[sa.ColumnElement[bool]]:
    return [customer.c.id.in_(ids), *_living(members)]


def _living(members: Members) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [customer.c.merged_into.is_(None)]
    if members.sources is not None:
        conditions.append(customer.c.zone_source.in_(members.sources))
    return conditions
