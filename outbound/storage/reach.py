"""How many customers two conditions are true for, asked at once: what a change of a rule gains and loses."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import tables
from outbound.storage.audience import Members

Pair = tuple[bool, bool]


def pairs(
    connection: Connection, *, members: Members, before: sa.ColumnElement[bool], after: sa.ColumnElement[bool]
) -> dict[Pair, int]:
    """The customers of a bucket by (true before, true after). The conditions must never be NULL."""
    one, other = _flag(before).label("one"), _flag(after).label("other")
    statement = sa.select(one, other, sa.func.count()).where(*_among(members)).group_by(sa.text("1"), sa.text("2"))
    return {(bool(row[0]), bool(row[1])): int(row[2]) for row in connection.execute(statement)}


def first_ids(
    connection: Connection, *, members: Members, condition: sa.ColumnElement[bool], size: int, after: str = ""
) -> list[str]:
    """The next ``size`` ids after ``after`` of those in a bucket for whom ``condition`` is true."""
    customer = tables.customer
    statement = sa.select(customer.c.id).where(*_among(members), condition, customer.c.id > after)
    return list(connection.execute(statement.order_by(customer.c.id).limit(size)).scalars())


def _flag(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.case((condition, 1), else_=0)


def _among(members: Members) -> Iterator[sa.ColumnElement[bool]]:
    customer = tables.customer
    yield customer.c.merged_into.is_(None)
    if members.sources is not None:
        yield customer.c.zone_source.in_(members.sources)
    if members.countries is not None:
        yield sa.func.coalesce(customer.c.country, "").in_(members.countries)
