"""A few counts that indexes answer, asked for every few seconds for as long as the service runs."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage.outbox import state_is
from outbound.storage.tables import breaker, daemon, event, message, run

_OPEN = (
    (MessageState.SCHEDULED,),
    (MessageState.READY,),
    (MessageState.CLAIMED, MessageState.SENDING),
    (MessageState.UNCERTAIN,),
)
"""The states of each partial index. Final states are as many as the record is old: `outbound status` counts them."""


def open_messages(connection: Connection) -> dict[str, int]:
    """How many messages are in each state that is not final."""
    found = {state.value: 0 for states in _OPEN for state in states}
    for states in _OPEN:
        query = sa.select(message.c.state, sa.func.count()).where(state_is(*states)).group_by(message.c.state)
        found.update((row[0], int(row[1])) for row in connection.execute(query))
    return found


def oldest_due(connection: Connection, *, now: datetime) -> datetime | None:
    """When the message that has waited longest became due, or None when nothing waits."""
    found = []
    for state in (MessageState.READY, MessageState.SCHEDULED):
        query = sa.select(sa.func.min(message.c.not_before, type_=message.c.not_before.type))
        at = connection.execute(query.where(state_is(state), message.c.not_before <= now)).scalar_one()
        found += [at] if at is not None else []
    return min(found, default=None)


def waiting_events(connection: Connection) -> int:
    """Events that no rule has seen yet."""
    return _count(connection, event, event.c.handled_at.is_(None))


def paused_accounts(connection: Connection) -> int:
    """Provider accounts and destinations that are paused."""
    return _count(connection, breaker, sa.true())


def runs_over_a_limit(connection: Connection) -> int:
    """Runs that wait for `outbound approve`."""
    return _count(connection, run, sa.text("limited <> '' AND limited <> 'rejected'"))


def daemons_alive(connection: Connection, *, since: datetime) -> int:
    """Daemons seen since then."""
    return _count(connection, daemon, sa.and_(daemon.c.stopped_at.is_(None), daemon.c.seen_at >= since))


def _count(connection: Connection, table: sa.Table, condition: sa.ColumnElement[bool] | sa.TextClause) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one())
