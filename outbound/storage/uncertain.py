"""Messages whose outcome nobody knows, and what people found out about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.domain.outcome import OutcomeKind, Phase
from outbound.storage import locks, sent_news
from outbound.storage.outbox import move, state_is
from outbound.storage.sets import among, chunks
from outbound.storage.tables import attempt, leg, message

S = MessageState

BATCH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One uncertain message with what a provider is asked by: Message-ID or number, account, time of the handover."""

    id: str
    rule: str
    run_id: str
    customer_id: str
    channel: str
    address: str
    account: str
    message_id: str
    handed_over_at: datetime | None
    since: datetime
    expires: datetime
    detail: str


def listed(connection: Connection, *, run_id: str = "", rule: str = "", limit: int | None = None) -> list[Unknown]:
    """The uncertain messages, the oldest first."""
    last = sa.func.max(attempt.c.handoff_at, type_=attempt.c.handoff_at.type)
    handed = sa.select(last).where(attempt.c.message_id == message.c.id).scalar_subquery()
    query = (
        sa.select(message, leg.c.channel, leg.c.address, leg.c.account, handed.label("handed"))
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg), isouter=True)
        .where(state_is(S.UNCERTAIN), *_of(run_id, rule))
        .order_by(message.c.updated_at, message.c.id)
        .limit(limit)
    )
    return [
        Unknown(
            id=row.id,
            rule=row.rule,
            run_id=row.run_id,
            customer_id=row.customer_id,
            channel=row.channel or row.channels.split(",")[0],
            address=row.address or "",
            account=row.account or "",
            message_id=row.message_id,
            handed_over_at=row.handed,
            since=row.updated_at,
            expires=row.expires,
            detail=row.detail,
        )
        for row in connection.execute(query)
    ]


def count(connection: Connection, *, run_id: str = "", rule: str = "") -> int:
    """How many messages ``listed`` would find without a limit."""
    query = sa.select(sa.func.count()).select_from(message).where(state_is(S.UNCERTAIN), *_of(run_id, rule))
    return int(connection.execute(query).scalar_one())


def ids_of(connection: Connection, *, run_id: str) -> list[str]:
    """Ids of the uncertain messages of a run."""
    query = sa.select(message.c.id).where(state_is(S.UNCERTAIN), message.c.run_id == run_id)
    return list(connection.execute(query.order_by(message.c.id)).scalars())


def states(connection: Connection, ids: Sequence[str]) -> dict[str, MessageState]:
    """The states of these messages; who is not in the answer does not exist."""
    found: dict[str, MessageState] = {}
    for some in chunks(ids):
        query = sa.select(message.c.id, message.c.state).where(among(connection, message.c.id, some))
        found.update((row[0], MessageState(row[1])) for row in connection.execute(query))
    return found


def lock(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Which of these messages are uncertain; they stay so to the end of the transaction."""
    locks.of_messages(connection, ids)
    query = sa.select(message.c.id).where(among(connection, message.c.id, ids), state_is(S.UNCERTAIN))
    return list(connection.execute(query.order_by(message.c.id).with_for_update()).scalars())


def was_sent(connection: Connection, ids: Sequence[str], *, detail: str, now: datetime) -> int:
    """Uncertain → sent (locked ones), dated with their handover."""
    last = sa.func.max(attempt.c.handoff_at, type_=attempt.c.handoff_at.type)
    handed = sa.select(last).where(attempt.c.message_id == message.c.id).scalar_subquery()
    values = {"reason": "", "detail": detail, "sent_at": sa.func.coalesce(handed, now), "updated_at": now}
    _answer(connection, ids, OutcomeKind.ACCEPTED, detail)
    moved = connection.execute(
        move(S.SENT, S.UNCERTAIN).where(among(connection, message.c.id, ids)).values(**values)
    ).rowcount
    sent_news.tell(connection, ids, now=now)
    return moved


def was_not_sent(connection: Connection, ids: Sequence[str], *, detail: str, now: datetime) -> int:
    """Uncertain → ready (locked ones): the same row is sent again, and no copy is out any more as far as gates know."""
    _answer(connection, ids, OutcomeKind.NOT_SENT, detail)
    change = move(S.READY, S.UNCERTAIN).where(among(connection, message.c.id, ids))
    values = {"reason": "", "detail": "", "not_before": now, "lease_until": None, "updated_at": now}
    return connection.execute(change.values(**values)).rowcount


def close(connection: Connection, ids: Sequence[str], *, detail: str, now: datetime) -> int:
    """Uncertain → closed_unknown (locked ones)."""
    change = move(S.CLOSED_UNKNOWN, S.UNCERTAIN).where(among(connection, message.c.id, ids))
    return connection.execute(change.values(detail=detail, updated_at=now)).rowcount


def older_than(connection: Connection, before: datetime, *, limit: int = BATCH) -> list[str]:
    """Messages that have been uncertain since before then."""
    query = sa.select(message.c.id).where(state_is(S.UNCERTAIN), message.c.updated_at <= before)
    return list(connection.execute(query.order_by(message.c.updated_at).limit(limit)).scalars())


def _answer(connection: Connection, ids: Sequence[str], kind: OutcomeKind, text: str) -> None:
    """Write what is known now on the attempts nobody knew about."""
    open_ones = sa.and_(
        attempt.c.phase == Phase.HANDOFF.value, attempt.c.outcome.in_(["", OutcomeKind.UNCERTAIN.value])
    )
    change = attempt.update().where(among(connection, attempt.c.message_id, ids), open_ones)
    connection.execute(change.values(outcome=kind.value, text=text))


def _of(run_id: str, rule: str) -> list[sa.ColumnElement[bool]]:
    return [
        *([message.c.run_id == run_id] if run_id else []),
        *([message.c.rule == rule] if rule else []),
    ]
