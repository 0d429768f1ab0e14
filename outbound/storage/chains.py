"""Which messages followed from which: what the backstop against loops counts."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.prepared import Prepared
from outbound.storage.sets import among, among_bound, bound, chunks
from outbound.storage.tables import message, run

REACTIVE = ("event", "changed", "enters")
"""Triggers of runs whose messages answer to what happened (``run.trigger``)."""


def reactions(connection: Connection, customers: Sequence[str], *, since: datetime) -> dict[str, list[datetime]]:
    """When messages of reactive rules were made for each of these customers, from ``since`` on."""
    found: dict[str, list[datetime]] = {}
    for some in chunks(customers):
        values = {"customers": bound(connection, some), "since": since}
        for identity, at in _reactions(connection.dialect.name).rows(connection, values):
            found.setdefault(identity, []).append(at)
    return found


@cache
def _reactions(dialect: str) -> Prepared:
    return Prepared(
        sa.select(message.c.customer_id, message.c.created_at)
        .join(run, run.c.id == message.c.run_id)
        .where(
            among_bound(dialect, message.c.customer_id, "customers"),
            message.c.created_at >= sa.bindparam("since", type_=message.c.created_at.type),
            sa.or_(*(run.c.trigger == trigger for trigger in REACTIVE)),
        )
    )


def depths(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How deep in a chain these messages of ours are; ids that are none of ours are left out."""
    found: dict[str, int] = {}
    for some in chunks(ids):
        statement = sa.select(message.c.id, message.c.depth).where(among(connection, message.c.id, some))
        found.update((row[0], row[1]) for row in connection.execute(statement).all())
    return found
