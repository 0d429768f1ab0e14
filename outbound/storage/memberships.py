"""Who is in a segment, as last looked at: who came in and who went out since then, asked set-wise."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentState
from outbound.storage.audience import Members
from outbound.storage.sets import CHUNK, among, chunks, insert_into
from outbound.storage.tables import consent, customer, membership

LOCK: Final = "plan:enters"
"""One transaction at a time works on memberships (``runs.lock``)."""

Inside = Sequence[sa.ColumnElement[bool]]
"""The clauses of a segment over ``tables.customer`` (``storage.conditions.clause_sql``): never NULL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Somebody who came in (``entered``) or went out. ``entries`` counts how often they had come in before."""

    customer_id: str
    entered: bool
    entries: int


def baseline(connection: Connection, segment: str, members: Members, inside: Inside, *, now: datetime) -> None:
    """Take who is in the segment now as known. Nobody enters by that, but the count of their entries goes on."""
    gone = sa.exists().where(
        customer.c.id == membership.c.customer_id, *_living(members), sa.not_(sa.and_(sa.true(), *inside))
    )
    known = sa.and_(membership.c.segment == segment, membership.c.inside)
    connection.execute(membership.update().where(known, gone).values(inside=False, at=now))
    here = sa.select(
        sa.literal(segment, sa.Text()),
        customer.c.id,
        sa.true(),
        sa.literal(0, sa.Integer()),
        sa.literal(now, membership.c.at.type),
    ).where(*_living(members), *inside)
    insert = insert_into(connection, membership).from_select(
        ["segment", "customer_id", "inside", "entries", "at"], here
    )
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=["segment", "customer_id"],
            set_={"inside": True, "entries": membership.c.entries + 1, "at": now},
            where=sa.not_(membership.c.inside),
        )
    )


def moving(
    connection: Connection, segment: str, members: Members, inside: Inside, *, topics: Sequence[str] = ()
) -> Generator[list[str]]:
    """The ids of everybody who came in or went out, in pieces: one statement, whatever the number of customers.

    The clauses of the segment are asked once of each customer: they are what it costs. Whoever refuses all of
    ``topics`` comes into nothing.
    """
    now_in = sa.case((sa.and_(sa.true(), *inside), sa.true()), else_=sa.false())
    was_in = sa.func.coalesce(membership.c.inside, sa.false())
    known = sa.and_(membership.c.customer_id == customer.c.id, membership.c.segment == segment)
    query = sa.select(customer.c.id).join(membership, known, isouter=True).where(*_living(members), now_in != was_in)
    if willing := _not_refusing(topics):
        query = query.where(sa.or_(was_in, *willing))
    with connection.execution_options(yield_per=CHUNK).execute(query) as found:
        for piece in found.partitions():
            yield sorted(row[0] for row in piece)


def moved(
    connection: Connection, segment: str, ids: Sequence[str], inside: Inside, *, topics: Sequence[str] = ()
) -> list[Move]:
    """Those among ``ids`` who came in or went out, as it is now; nobody who refuses all of ``topics`` comes in."""
    now_in = sa.and_(sa.true(), *inside)
    was_in = sa.func.coalesce(membership.c.inside, sa.false())
    same = sa.and_(membership.c.customer_id == customer.c.id, membership.c.segment == segment)
    query = (
        sa.select(customer.c.id, now_in.label("entered"), sa.func.coalesce(membership.c.entries, 0))
        .join(membership, same, isouter=True)
        .where(
            among(connection, customer.c.id, ids),
            customer.c.merged_into.is_(None),
            sa.or_(
                sa.and_(now_in, sa.not_(was_in), *_not_refusing(topics)),
                sa.and_(was_in, sa.not_(now_in)),
            ),
        )
        .order_by(customer.c.id)
    )
    return [Move(customer_id=row[0], entered=bool(row[1]), entries=row[2]) for row in connection.execute(query)]


def enter(connection: Connection, segment: str, ids: Sequence[str], *, now: datetime) -> None:
    """They are in, once more."""
    here = sa.select(
        sa.literal(segment, sa.Text()),
        customer.c.id,
        sa.true(),
        sa.literal(1, sa.Integer()),
        sa.literal(now, membership.c.at.type),
    ).where(among(connection, customer.c.id, ids))
    insert = insert_into(connection, membership).from_select(
        ["segment", "customer_id", "inside", "entries", "at"], here
    )
    fresh = {"inside": True, "entries": membership.c.entries + 1, "at": now}
    connection.execute(insert.on_conflict_do_update(index_elements=["segment", "customer_id"], set_=fresh))


def leave(connection: Connection, segment: str, ids: Sequence[str], *, now: datetime) -> None:
    """They are out."""
    mine = sa.and_(membership.c.segment == segment, among(connection, membership.c.customer_id, ids))
    connection.execute(membership.update().where(mine).values(inside=False, at=now))


def refusers(connection: Connection, segment: str, topics: Sequence[str]) -> list[str]:
    """Whose membership is known although they refuse all of ``topics``."""
    query = sa.select(customer.c.id).join(membership, membership.c.customer_id == customer.c.id)
    query = query.where(membership.c.segment == segment, *(_refuses(topic) for topic in topics))
    return list(connection.execute(query.order_by(customer.c.id)).scalars()) if topics else []


def forget(connection: Connection, segment: str, ids: Sequence[str]) -> None:
    """Nothing is known of these customers and the segment."""
    for some in chunks(ids):
        mine = sa.and_(membership.c.segment == segment, among(connection, membership.c.customer_id, some))
        connection.execute(membership.delete().where(mine))


def _refuses(topic: str) -> sa.ColumnElement[bool]:
    """The customer took the topic back, or refused it, on a channel, and agrees to it on none."""
    said = sa.and_(consent.c.customer_id == customer.c.id, consent.c.topic == topic)
    refused = sa.exists().where(said, consent.c.state == ConsentState.WITHDRAWN.value)
    return sa.and_(refused, ~sa.exists().where(said, consent.c.state == ConsentState.GRANTED.value))


def _not_refusing(topics: Sequence[str]) -> list[sa.ColumnElement[bool]]:
    return [sa.not_(sa.and_(*(_refuses(topic) for topic in topics)))] if topics else []


def insiders(connection: Connection, segment: str, *, after: str, size: int) -> list[tuple[str, int]]:
    """The next customers in the segment after id ``after``, with their number of entries."""
    query = (
        sa.select(membership.c.customer_id, membership.c.entries)
        .where(membership.c.segment == segment, membership.c.inside, membership.c.customer_id > after)
        .order_by(membership.c.customer_id)
        .limit(size)
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def newest_entry(connection: Connection, segment: str, customer_id: str) -> tuple[int, datetime] | None:
    """How often the customer entered and when their membership was last noted; None when it never was."""
    query = sa.select(membership.c.entries, membership.c.at).where(
        membership.c.segment == segment, membership.c.customer_id == customer_id
    )
    row = connection.execute(query).first()
    return None if row is None else (row.entries, row.at)


def is_inside(connection: Connection, segment: str, customer_id: str) -> bool:
    """Whether the customer was in the segment when it was last looked at."""
    query = sa.select(membership.c.inside).where(
        membership.c.segment == segment, membership.c.customer_id == customer_id
    )
    return bool(connection.execute(query).scalar())


def merge(connection: Connection, loser: str, winner: str) -> None:
    """Two customers are one: in where either was in, and no number of an entry comes twice."""
    both = connection.execute(sa.select(membership).where(membership.c.customer_id.in_([loser, winner]))).all()
    kept = {row.segment: row for row in both if row.customer_id == winner}
    for lost in (row for row in both if row.customer_id == loser):
        mine = sa.and_(membership.c.segment == lost.segment, membership.c.customer_id == loser)
        known = kept.get(lost.segment)
        if known is None:
            connection.execute(membership.update().where(mine).values(customer_id=winner))
            continue
        joined = {"inside": known.inside or lost.inside, "entries": max(known.entries, lost.entries)}
        theirs = sa.and_(membership.c.segment == lost.segment, membership.c.customer_id == winner)
        connection.execute(membership.update().where(theirs).values(joined))
        connection.execute(membership.delete().where(mine))


def _living(members: Members) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [customer.c.merged_into.is_(None)]
    if members.sources is not None:
        conditions.append(customer.c.zone_source.in_(members.sources))
    return conditions
