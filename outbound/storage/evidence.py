"""Which messages with an unknown outcome a provider is asked about, how often it was, and what it proved."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage import operations, runs, uncertain
from outbound.storage.outbox import state_is
from outbound.storage.sets import insert_into
from outbound.storage.tables import attempt, evidence_look, leg, message

_LOCK = "evidence"
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One uncertain message, as its provider is asked about it. ``looks`` is how often it was."""

    message_id: str
    leg: int
    account: str
    address: str
    body_hash: str
    handed_over_at: datetime
    since: datetime
    looks: int


def doubts(connection: Connection, accounts: Collection[str], *, looks: int) -> list[Doubt]:
    """The uncertain messages of these accounts that were asked about less than ``looks`` times, the oldest first."""
    last = sa.func.max(attempt.c.handoff_at, type_=attempt.c.handoff_at.type)
    handed = sa.select(last).where(attempt.c.message_id == message.c.id).scalar_subquery()
    asked = sa.func.coalesce(evidence_look.c.looks, 0)
    query = (
        sa.select(message, leg.c.account, leg.c.address, handed.label("handed"), asked.label("looks"))
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg))
        .outerjoin(evidence_look, evidence_look.c.message_id == message.c.id)
        .where(state_is(MessageState.UNCERTAIN), leg.c.account.in_(sorted(accounts)), asked < looks)
        .order_by(message.c.updated_at, message.c.id)
        .limit(_MOST)
    )
    return [
        Doubt(
            message_id=row.id,
            leg=row.leg,
            account=row.account,
            address=row.address,
            body_hash=row.body_hash,
            handed_over_at=row.handed,
            since=row.updated_at,
            looks=row.looks,
        )
        for row in connection.execute(query)
        if row.handed is not None and row.address
    ]


def lock(connection: Connection) -> None:
    """One seeker at a time, to the end of the transaction."""
    runs.lock(connection, _LOCK)


def note(connection: Connection, message_id: str, looks: int, *, now: datetime) -> None:
    """It was asked about so often by now."""
    row = {"looks": looks, "looked_at": now}
    statement = insert_into(connection, evidence_look).values(message_id=message_id, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=["message_id"], set_=row))


def prove(connection: Connection, doubt: Doubt, references: Sequence[str], *, by: str, note: str, now: datetime) -> str:
    """Uncertain → sent by the first reference that is nobody else's; answers it, "" where there is none or no doubt."""
    taken = set(connection.execute(sa.select(leg.c.provider_ref).where(leg.c.provider_ref.in_(references))).scalars())
    mine = next((reference for reference in references if reference not in taken), "")
    if not mine or not uncertain.lock(connection, [doubt.message_id]):
        return ""
    uncertain.was_sent(connection, [doubt.message_id], detail=f"listed by {doubt.account}"[:200], now=now)
    own = (leg.c.message_id == doubt.message_id, leg.c.n == doubt.leg)
    connection.execute(leg.update().where(*own).values(provider_ref=mine))
    operations.record_each(connection, [doubt.message_id], kind="resolve sent", subject="", by=by, note=note, now=now)
    return mine


def is_due(doubt: Doubt, schedule: Sequence[timedelta], *, now: datetime) -> bool:
    """Whether the next look at it has come."""
    return now - doubt.since >= schedule[doubt.looks]
