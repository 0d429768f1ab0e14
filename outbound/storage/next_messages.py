"""When the earliest queued message may leave."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import Lane, MessageState
from outbound.storage.outbox import state_is
from outbound.storage.prepared import Prepared
from outbound.storage.tables import message

_AT = message.c.not_before
_LANES = tuple(lane for lane in Lane for _ in range(2))
# One MIN for each lane and state: each is the first entry of a partial index, however many messages wait.
_EARLIEST = Prepared(
    sa.select(
        *(
            sa.select(sa.func.min(_AT, type_=_AT.type))
            .where(state_is(state), message.c.lane == lane.value)
            .scalar_subquery()
            for lane in Lane
            for state in (MessageState.SCHEDULED, MessageState.READY)
        )
    )
)


def earliest(connection: Connection) -> datetime | None:
    """The earliest ``not_before`` (UTC) of the messages that are scheduled or ready; None when there are none."""
    [row] = _EARLIEST.rows(connection)
    return min((at for at in row if at is not None), default=None)


def lanes_due(connection: Connection, now: datetime) -> frozenset[Lane]:
    """The lanes in which a message may leave by ``now``."""
    [row] = _EARLIEST.rows(connection)
    return frozenset(lane for lane, at in zip(_LANES, row, strict=True) if at is not None and at <= now)
