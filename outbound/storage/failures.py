"""Messages of a run that a provider refused or never took, found and made ready again on their own rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.domain.outcome import OutcomeKind, Phase
from outbound.storage import locks
from outbound.storage.outbox import move, state_is
from outbound.storage.sets import among
from outbound.storage.tables import attempt, leg, message

S = MessageState

_ENDED = (S.FAILED, S.EXPIRED)


class Failure(NamedTuple):
    """A message that ended without reaching anybody. ``lifetime`` is how long it was worth something when new."""

    id: str
    rule: str
    zone: str
    lane: str
    state: str
    expires: datetime
    lifetime: timedelta


def failed(connection: Connection, run_id: str) -> list[Failure]:
    """The messages of a run that may be sent again: refused, or out of time while a provider was tried.

    Never one that may have arrived. The first planned come first.
    """
    columns = (message.c.id, message.c.rule, message.c.zone, message.c.lane, message.c.state, message.c.expires)
    query = sa.select(*columns, message.c.created_at).where(_failed(run_id), sa.not_(_may_have_arrived()))
    return [
        Failure(*row[:6], max(row.expires - row.created_at, timedelta(0)))
        for row in connection.execute(query.order_by(message.c.created_at, message.c.id))
    ]


def in_doubt(connection: Connection, run_id: str) -> int:
    """How many failed messages of a run are left alone, because a copy of them may have arrived."""
    query = sa.select(sa.func.count()).select_from(message).where(_failed(run_id), _may_have_arrived())
    return int(connection.execute(query).scalar_one())


def uncertain(connection: Connection, run_id: str) -> int:
    """How many messages of a run have an unknown outcome."""
    unknown = state_is(S.UNCERTAIN, S.CLOSED_UNKNOWN)
    query = sa.select(sa.func.count()).select_from(message).where(message.c.run_id == run_id, unknown)
    return int(connection.execute(query).scalar_one())


def rearm(
    connection: Connection, run_id: str, turns: Sequence[tuple[str, datetime, datetime]], *, now: datetime
) -> list[str]:
    """Failed or expired → ready (id, its turn, when it expires now). Answers the ids that still were what they were."""
    ids = [identity for identity, _, _ in turns]
    locks.of_messages(connection, ids)
    query = sa.select(message.c.id).where(
        among(connection, message.c.id, ids), _failed(run_id), sa.not_(_may_have_arrived())
    )
    mine = set(connection.execute(query.order_by(message.c.id).with_for_update(of=message)).scalars())
    rows = [{"b_id": i, "b_at": at, "b_expires": expires} for i, at, expires in turns if i in mine]
    if rows:
        change = move(S.READY, *_ENDED).where(message.c.id == sa.bindparam("b_id"))
        values = {"reason": "", "detail": "", "attempts": 0, "lease_until": None, "updated_at": now}
        moment: dict[str, Any] = {"not_before": sa.bindparam("b_at"), "expires": sa.bindparam("b_expires")}
        connection.execute(change.values(**values, **moment), rows)
    return sorted(mine)


def _failed(run_id: str) -> sa.ColumnElement[bool]:
    """Refused for good, or expired after a provider was tried; what expired while it was held was never tried."""
    tried = sa.exists().where(attempt.c.message_id == message.c.id)
    return sa.and_(message.c.run_id == run_id, sa.or_(state_is(S.FAILED), sa.and_(state_is(S.EXPIRED), tried)))


def _may_have_arrived() -> sa.ColumnElement[bool]:
    """Some attempt was accepted and never bounced, or nobody knows what came of it."""
    unknown = sa.and_(attempt.c.phase == Phase.HANDOFF.value, attempt.c.outcome.in_(["", OutcomeKind.UNCERTAIN.value]))
    accepted = sa.and_(attempt.c.outcome == OutcomeKind.ACCEPTED.value, leg.c.moved_on != "bounced")
    query = (
        sa.select(sa.literal(1))
        .select_from(attempt.join(leg, sa.and_(leg.c.message_id == attempt.c.message_id, leg.c.n == attempt.c.leg)))
        .where(attempt.c.message_id == message.c.id, sa.or_(unknown, accepted))
    )
    return query.exists()
