"""The messages that a kill switch holds: found, counted, woken in turns."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import Lane, MessageState
from outbound.domain.reasons import ReasonCode
from outbound.storage.outbox import move, state_is
from outbound.storage.sets import among
from outbound.storage.switches import covering
from outbound.storage.tables import message

S = MessageState

_QUEUED = (S.SCHEDULED, S.READY)
_BROKEN = "gate_error"
"""Such a detail of ``paused`` is no switch: the gate failed, and looks again by itself."""


class Waiting(NamedTuple):
    """One message to be given a turn. ``held``: by a switch; else it waits for a later turn of its own."""

    id: str
    rule: str
    zone: str
    lane: str
    opening: datetime
    expires: datetime
    held: bool


def due(connection: Connection, *, key: str, others: Collection[str], now: datetime, limit: int) -> list[str]:
    """Bulk messages that are due, that ``key`` stops and the ``others`` do not, and that no gate has seen yet."""
    query = sa.select(message.c.id).where(_due(key, others, now)).order_by(message.c.id).limit(limit)
    return list(connection.execute(query.with_for_update(skip_locked=True)).scalars())


def count_due(connection: Connection, *, key: str, others: Collection[str], now: datetime) -> int:
    """How many messages ``due`` would find."""
    return int(connection.execute(sa.select(sa.func.count()).where(_due(key, others, now))).scalar_one())


def hold(connection: Connection, ids: Sequence[str], *, detail: str, now: datetime) -> int:
    """Hold due messages (locked ones) as a gate would, until they are woken or expire."""
    where = (among(connection, message.c.id, ids), state_is(*_QUEUED))
    values = {
        "state": S.SCHEDULED.value,
        "reason": ReasonCode.PAUSED.value,
        "detail": detail,
        "held_by": sa.case((message.c.held_by == "", f"{ReasonCode.PAUSED.value}.{detail}"), else_=message.c.held_by),
        "not_before": message.c.expires,
        "updated_at": now,
    }
    held = connection.execute(move(S.SCHEDULED, S.READY).where(*where).values(**values)).rowcount
    again = message.update().where(among(connection, message.c.id, ids), state_is(S.SCHEDULED))
    return held + connection.execute(again.where(message.c.reason != ReasonCode.PAUSED.value).values(**values)).rowcount


def rules(connection: Connection, *, remaining: Collection[str], now: datetime) -> dict[tuple[str, str], int]:
    """How many held messages nothing of ``remaining`` stops, by (rule, lane)."""
    query = (
        sa.select(message.c.rule, message.c.lane, sa.func.count())
        .where(_asleep(remaining, now))
        .group_by(message.c.rule, message.c.lane)
    )
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}


def waiting(
    connection: Connection, rule: str, *, remaining: Collection[str], following: bool, now: datetime
) -> list[Waiting]:
    """The bulk messages of a rule to be given a turn, those that expire first in front.

    ``following``: also those behind them whose own turn is still to come, for the rule's pace binds all.
    """
    asleep = _asleep(remaining, now)
    wanted = [asleep]
    if following:
        wanted.append(sa.and_(state_is(S.SCHEDULED), message.c.reason == "", message.c.held_by == ""))
    query = (
        sa.select(
            message.c.id,
            message.c.rule,
            message.c.zone,
            message.c.lane,
            message.c.not_before,
            message.c.expires,
            asleep.label("held"),
        )
        .where(message.c.rule == rule, message.c.lane == Lane.BULK.value, sa.or_(*wanted))
        .order_by(message.c.expires, message.c.not_before, message.c.id)
    )
    found = [
        Waiting(row.id, row.rule, row.zone, row.lane, row.not_before, row.expires, bool(row.held))
        for row in connection.execute(query)
    ]
    return [one for one in found if one.held] + sorted((one for one in found if not one.held), key=lambda w: w.opening)


def wake_express(connection: Connection, *, remaining: Collection[str], now: datetime, limit: int) -> int:
    """Let transactional and security messages go at once. Answers how many."""
    query = sa.select(message.c.id).where(_asleep(remaining, now), message.c.lane == Lane.EXPRESS.value)
    ids = list(connection.execute(query.order_by(message.c.id).limit(limit).with_for_update()).scalars())
    change = message.update().where(among(connection, message.c.id, ids), _asleep(remaining, now))
    return connection.execute(change.values(not_before=now, reason="", detail="", updated_at=now)).rowcount


def wake(
    connection: Connection, turns: Sequence[tuple[str, datetime]], *, remaining: Collection[str], now: datetime
) -> int:
    """Give messages their turn (id, instant). What has moved meanwhile is left alone. Answers how many woke."""
    ids = [identity for identity, _ in turns]
    lock = sa.select(message.c.id).where(among(connection, message.c.id, ids), state_is(S.SCHEDULED))
    held = set(
        connection.execute(lock.where(_asleep(remaining, now)).order_by(message.c.id).with_for_update()).scalars()
    )
    mine = sa.and_(message.c.id == sa.bindparam("b_id"), state_is(S.SCHEDULED))
    values = {"not_before": sa.bindparam("b_at"), "updated_at": now}
    woken = [{"b_id": i, "b_at": at} for i, at in turns if i in held]
    if woken:
        change = message.update().where(mine, message.c.reason == ReasonCode.PAUSED.value)
        connection.execute(change.values(reason="", detail="", **values), woken)
    later = [{"b_id": i, "b_at": at} for i, at in turns if i not in held]
    if later:
        change = message.update().where(mine, message.c.reason == "", message.c.not_before < sa.bindparam("b_at"))
        connection.execute(change.values(**values), later)
    return len(held)


def expired(connection: Connection, *, key: str, since: datetime | None, now: datetime, others: Collection[str]) -> int:
    """How many messages ran out while ``key`` held them: those already ended, and those still asleep."""
    ended = sa.and_(state_is(S.EXPIRED), message.c.detail.startswith(ReasonCode.PAUSED.value))
    if since is not None:
        ended = sa.and_(ended, message.c.updated_at >= since)
    asleep = sa.and_(state_is(S.SCHEDULED), message.c.reason == ReasonCode.PAUSED.value, message.c.expires <= now)
    query = sa.select(sa.func.count()).where(covering([*others, key]), sa.not_(covering(others)), sa.or_(ended, asleep))
    return int(connection.execute(query).scalar_one())


def any_asleep(connection: Connection, *, remaining: Collection[str], now: datetime) -> bool:
    """Whether a message sleeps that no switch holds any more: a resume that was killed left it."""
    return connection.execute(sa.select(sa.literal(1)).where(_asleep(remaining, now)).limit(1)).first() is not None


def batches(turns: Sequence[tuple[str, datetime]], size: int) -> Iterator[Sequence[tuple[str, datetime]]]:
    """The turns in pieces of one transaction each."""
    for start in range(0, len(turns), size):
        yield turns[start : start + size]


def _asleep(remaining: Collection[str], now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        state_is(S.SCHEDULED),
        message.c.reason == ReasonCode.PAUSED.value,
        sa.not_(message.c.detail.startswith(_BROKEN)),
        message.c.expires > now,
        sa.not_(covering(remaining)),
    )


def _due(key: str, others: Collection[str], now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        state_is(*_QUEUED),
        message.c.lane == Lane.BULK.value,
        message.c.not_before <= now,
        message.c.expires > now,
        message.c.reason.not_in([ReasonCode.PAUSED.value, ReasonCode.LIMITS.value]),
        covering([*others, key]),
        sa.not_(covering(others)),
    )
