"""Which messages followed from which: what the backstop against loops counts."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among, chunks
from outbound.storage.tables import message, run

REACTIVE = ("event", "changed", "enters")
"""Triggers of runs whose messages answer to what happened (``run.trigger``)."""


def reactions(connection: Connection, customers: Sequence[str], *, since: datetime) -> dict[str, list[datetime]]:
    """When messages of reactive rules were made for each of these customers, from ``since`` on."""
    found: dict[str, list[datetime]] = {}
    for some in chunks(customers):
        statement = (
            sa.select(message.c.customer_id, message.c.created_at)
            .join(run, run.c.id == message.c.run_id)
            .where(
                among(connection, message.c.customer_id, some),
                message.c.created_at >= since,
                run.c.trigger.in_(REACTIVE),
            )
        )
        for identity, at in connection.execute(statement).all():
            found.setdefault(identity, []).append(at)
    return found


def depths(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How deep in a chain these messages of ours are; ids that are none of ours are left out."""
    found: dict[str, int] = {}
    for some in chunks(ids):
        statement = sa.select(message.c.id, message.c.depth).where(among(connection, message.c.id, some))
        found.update((row[0], row[1]) for row in connection.execute(statement).all())
    return found
