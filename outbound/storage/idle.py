"""What a pass of planning asks first: how far planning got, and whether anything waits for it at all."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.prepared import Prepared
from outbound.storage.tables import customer, customer_change, event, installation


@dataclass(frozen=True, slots=True)
class Waits:
    """``fact`` is the note of the last pass; whether an event, a change or a customer who moved was not looked at."""

    fact: str | None
    events: bool
    changes: bool
    moves: bool


def waits(connection: Connection, fact: str) -> Waits:
    """Ask in one statement. Each part reads one entry of its own small index."""
    [row] = _WAITS.rows(connection, {"name": fact})
    return Waits(row[0], bool(row[1]), bool(row[2]), bool(row[3]))


_WAITS = Prepared(
    sa.select(
        sa.select(installation.c.value).where(installation.c.name == sa.bindparam("name")).scalar_subquery(),
        sa.exists().where(event.c.handled_at.is_(None)),
        sa.exists(sa.select(sa.text("1")).select_from(customer_change).where(sa.text("customer_change.pending"))),
        sa.exists().where(customer.c.moved_from.is_not(None)),
    )
)
