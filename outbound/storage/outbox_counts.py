"""Sums over the outbox and over planning, of one run or of all (``run_id`` None)."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.domain.reasons import ReasonCode as R
from outbound.storage.outbox import state_is
from outbound.storage.tables import decision, leg, message, run


def planned(connection: Connection, run_id: str | None) -> tuple[int, int]:
    """Candidates and those skipped at planning, as the planner counted them."""
    query = sa.select(
        sa.func.coalesce(sa.func.sum(run.c.candidates), 0), sa.func.coalesce(sa.func.sum(run.c.skipped), 0)
    )
    row = connection.execute(_of(query, run.c.id, run_id)).one()
    return int(row[0]), int(row[1])


def messages(connection: Connection, run_id: str | None) -> int:
    """Rows of the outbox."""
    query = sa.select(sa.func.count()).select_from(message)
    return int(connection.execute(_of(query, message.c.run_id, run_id)).scalar_one())


def by_state(connection: Connection, run_id: str | None) -> dict[str, int]:
    """Messages by state."""
    query = sa.select(message.c.state, sa.func.count()).group_by(message.c.state)
    return {row[0]: int(row[1]) for row in connection.execute(_of(query, message.c.run_id, run_id))}


def by_detail(connection: Connection, run_id: str | None) -> dict[tuple[str, str, str], int]:
    """Messages that have a reason, by (state, reason, detail): "" where the detail tells little (``_TELLING``)."""
    detail = telling(message).label("told")
    query = (
        sa.select(message.c.state, message.c.reason, detail, sa.func.count())
        .where(message.c.reason != "")
        .group_by(message.c.state, message.c.reason, sa.text("told"))
    )
    return {(row[0], row[1], row[2]): int(row[3]) for row in connection.execute(_of(query, message.c.run_id, run_id))}


def planning_skips(connection: Connection, run_id: str | None) -> dict[tuple[str, str], int]:
    """Candidates that planning skipped, by (reason, detail) as in ``by_detail``, from their decisions."""
    detail = telling(decision).label("told")
    query = (
        sa.select(decision.c.reason, detail, sa.func.count())
        .where(decision.c.verdict == "skip")
        .group_by(decision.c.reason, sa.text("told"))
    )
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(_of(query, decision.c.run_id, run_id))}


_TELLING = tuple(code.value for code in (R.PAUSED, R.HELD_OUT, R.CONFLICT, R.CAP, R.LIMITS, R.LOOP))
"""Reasons whose detail is a name out of few; others name a topic the run has anyway, or quote a provider."""


def telling(table: sa.Table) -> sa.ColumnElement[str]:
    """The detail of a reason, "" where it tells little."""
    return sa.case((table.c.reason.in_(_TELLING), table.c.detail), else_="")


def sent_by_channel(connection: Connection, run_id: str | None) -> dict[str, int]:
    """Sent messages by the channel of the leg that took them."""
    current = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
    query = (
        sa.select(leg.c.channel, sa.func.count())
        .select_from(message.join(leg, current))
        .where(message.c.state == MessageState.SENT.value)
        .group_by(leg.c.channel)
    )
    return {row[0]: int(row[1]) for row in connection.execute(_of(query, message.c.run_id, run_id))}


def unfinished(connection: Connection, run_id: str | None, *, now: datetime) -> int:
    """Messages that are being worked on, or due."""
    waiting = sa.and_(state_is(MessageState.SCHEDULED, MessageState.READY), message.c.not_before <= now)
    busy = state_is(MessageState.CLAIMED, MessageState.SENDING)
    query = sa.select(sa.func.count()).select_from(message).where(sa.or_(waiting, busy))
    return int(connection.execute(_of(query, message.c.run_id, run_id)).scalar_one())


def run_row(connection: Connection, run_id: str) -> dict[str, Any] | None:
    """What stands on a run's own row, its counters aside."""
    columns = (
        run.c.id,
        run.c.rule,
        run.c.slot,
        run.c.trigger,
        run.c.release,
        run.c.rule_version,
        run.c.started_at,
        run.c.planned_at,
    )
    row = connection.execute(sa.select(*columns).where(run.c.id == run_id)).mappings().first()
    return {str(name): value for name, value in row.items()} if row else None


def _of(query: sa.Select[Any], column: sa.ColumnElement[str], run_id: str | None) -> sa.Select[Any]:
    return query if run_id is None else query.where(column == run_id)
