"""What the gate writes: attempts that begin, messages that wait longer, messages that end unsent.

Every function here is called inside the transaction of ``outbox_claims.lock_claimed``: the rows are ours.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.message import MessageState
from outbound.domain.outcome import OutcomeKind, Phase
from outbound.domain.reasons import Reason
from outbound.domain.verification import code_of
from outbound.storage.for_each import ForEach, Values
from outbound.storage.outbox import move
from outbound.storage.outbox_bound import SQLITE
from outbound.storage.sets import among
from outbound.storage.switches import switches
from outbound.storage.tables import attempt, leg, message

S = MessageState


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """One attempt about to start, and what the first render fixed (the same again on every later attempt)."""

    message_id: str
    attempt_id: str
    lease_token: int
    leg: int
    n: int
    channel: ChannelName
    customer_id: str
    address: str
    account: str
    release: str
    mime_id: str
    date: datetime
    language: str
    tracked: str = ""
    moved_on: str = ""
    """Why the leg before this one was left, when the gate itself opens this leg."""
    context: Mapping[str, Any] | None = None
    """What the message keeps for its template from now on; None: what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Back to ``scheduled`` until ``until``. ``held_by`` is the first gate that ever held the message."""

    message_id: str
    until: datetime
    reason: Reason
    held_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Ends unsent in ``state``: skipped, expired, cancelled, or back to uncertain."""

    message_id: str
    state: MessageState
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLeg:
    """One leg of a message so far. ``in_doubt``: a handover on it whose outcome nobody knows."""

    n: int
    channel: ChannelName
    address: str
    moved_on: str
    attempts: int = 0
    in_doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened to a message under earlier leases."""

    legs: tuple[PastLeg, ...] = field(default=())

    @property
    def current(self) -> PastLeg | None:
        """The leg the message is at, if it was ever begun."""
        return self.legs[-1] if self.legs else None

    @property
    def tried(self) -> tuple[ChannelName, ...]:
        """Channels that were given up."""
        return tuple(one.channel for one in self.legs if one.moved_on)


def past_of(connection: Connection, ids: Sequence[str]) -> dict[str, Past]:
    """Legs and attempts of messages that were claimed before."""
    if not ids:
        return {}
    counted = (
        sa.select(attempt.c.message_id, attempt.c.leg, attempt.c.phase, attempt.c.outcome, sa.func.count())
        .where(among(connection, attempt.c.message_id, ids))
        .group_by(attempt.c.message_id, attempt.c.leg, attempt.c.phase, attempt.c.outcome)
    )
    counts: dict[tuple[str, int], int] = defaultdict(int)
    doubts: set[tuple[str, int]] = set()
    for message_id, n, phase, outcome, count in connection.execute(counted):
        counts[message_id, n] += count
        if phase == Phase.HANDOFF.value and outcome in ("", OutcomeKind.UNCERTAIN.value):
            doubts.add((message_id, n))
    legs: dict[str, list[PastLeg]] = defaultdict(list)
    query = sa.select(leg.c.message_id, leg.c.n, leg.c.channel, leg.c.address, leg.c.moved_on)
    for message_id, n, channel, address, moved_on in connection.execute(
        query.where(among(connection, leg.c.message_id, ids)).order_by(leg.c.message_id, leg.c.n)
    ):
        legs[message_id].append(
            PastLeg(
                n=n,
                channel=ChannelName(channel),
                address=address,
                moved_on=moved_on,
                attempts=counts[message_id, n],
                in_doubt=(message_id, n) in doubts,
            )
        )
    return {message_id: Past(legs=tuple(found)) for message_id, found in legs.items()}


def begin(connection: Connection, begins: Sequence[Begin], *, now: datetime) -> None:
    """Claimed → sending, with the leg's address snapshot and an attempt in phase ``started``."""
    if not begins:
        return
    dialect = connection.dialect.name
    moved = [b for b in begins if b.moved_on]
    if moved:
        bound = (leg.c.message_id == sa.bindparam("b_id"), leg.c.n == sa.bindparam("b_n"))
        left = [{"b_id": b.message_id, "b_n": b.leg - 1, "moved_on": b.moved_on} for b in moved]
        connection.execute(leg.update().where(*bound), left)
        ids = [b.message_id for b in moved]  # another channel has other bytes
        connection.execute(message.update().where(among(connection, message.c.id, ids)).values(body_hash=""))
    _keep_leg(dialect).run(connection, [_leg_row(b, now) for b in begins])
    _open_attempt(dialect).run(connection, [_attempt_row(b, now) for b in begins])
    _to_sending(dialect).run(
        connection,
        [
            {
                "b_id": b.message_id,
                "b_leg": b.leg,
                "b_release": b.release,
                "b_mime_id": b.mime_id,
                "b_date": b.date,
                "b_language": b.language,
                "b_tracked": b.tracked,
                "b_code": code_of(b.message_id),
                "b_now": now,
            }
            for b in begins
        ],
    )
    contexts = [{"b_id": b.message_id, "b_context": b.context} for b in begins if b.context is not None]
    if contexts:
        connection.execute(_keep_context(), contexts)


def hold(connection: Connection, holds: Sequence[Held], *, now: datetime) -> None:
    """Claimed → scheduled, with the reason and when to look again."""
    if not holds:
        return
    rows = [
        {
            "b_id": h.message_id,
            "b_until": h.until,
            "b_reason": h.reason.code.value,
            "b_detail": h.reason.detail,
            "b_held_by": h.held_by,
            "b_now": now,
        }
        for h in holds
    ]
    connection.execute(_to_scheduled(), rows)


def stop(connection: Connection, stops: Sequence[Stopped], *, now: datetime) -> None:
    """Claimed → skipped, expired, cancelled or uncertain, with the reason."""
    by_state: dict[MessageState, list[dict[str, Any]]] = defaultdict(list)
    for one in stops:
        row = {"b_id": one.message_id, "b_reason": one.reason.code.value, "b_detail": one.reason.detail[:200]}
        by_state[one.state].append({**row, "b_now": now})
    for state, rows in by_state.items():
        connection.execute(_to_end(state), rows)


@cache
def _keep_leg(dialect: str) -> ForEach:
    names = ("message_id", "n", "channel", "customer_id", "address", "account", "at")
    fixed = {"provider_ref": "", "moved_on": "", "cost": 0}

    def build(row: Values) -> sa.Insert:
        statement = sqlite.insert(leg) if dialect == SQLITE else postgresql.insert(leg)
        news = statement.excluded
        keep = {"channel": news.channel, "address": news.address, "account": news.account, "at": news.at}
        filled: Any = _from_row(statement, row, fixed)
        insert: sa.Insert = filled.on_conflict_do_update(index_elements=["message_id", "n"], set_=keep)
        return insert

    return ForEach(dialect, {name: leg.c[name].type for name in names}, build)


@cache
def _open_attempt(dialect: str) -> ForEach:
    names = ("id", "message_id", "leg", "n", "lease_token", "endpoint", "started_at")
    fixed = {"phase": Phase.STARTED.value, "outcome": "", "enhanced": "", "text": ""}
    types = {name: attempt.c[name].type for name in names}
    return ForEach(dialect, types, lambda row: _from_row(attempt.insert(), row, fixed))


def _from_row(statement: sa.Insert, row: Values, fixed: Mapping[str, Any]) -> sa.Insert:
    """INSERT ... SELECT of the row's values and ``fixed`` ones. SQLite wants a WHERE before ON CONFLICT."""
    constants = (sa.literal(value) for value in fixed.values())
    return statement.from_select([*row, *fixed], sa.select(*row.values(), *constants).where(sa.true()))


def _leg_row(begin: Begin, now: datetime) -> dict[str, Any]:
    return {
        "message_id": begin.message_id,
        "n": begin.leg,
        "channel": begin.channel.value,
        "customer_id": begin.customer_id,
        "address": begin.address,
        "account": begin.account,
        "at": now,
    }


def _attempt_row(begin: Begin, now: datetime) -> dict[str, Any]:
    return {
        "id": begin.attempt_id,
        "message_id": begin.message_id,
        "leg": begin.leg,
        "n": begin.n,
        "lease_token": begin.lease_token,
        "endpoint": begin.account,
        "started_at": now,
    }


@cache
def _to_sending(dialect: str) -> ForEach:
    types = {
        "b_id": message.c.id.type,
        "b_leg": message.c.leg.type,
        "b_release": message.c.release.type,
        "b_mime_id": message.c.message_id.type,
        "b_date": message.c.date.type,
        "b_language": message.c.language.type,
        "b_tracked": message.c.tracked.type,
        "b_code": message.c.verify_code.type,
        "b_now": message.c.updated_at.type,
    }

    def build(row: Values) -> sa.Update:
        return (
            move(S.SENDING, S.CLAIMED)
            .where(message.c.id == row["b_id"])
            .values(
                leg=row["b_leg"],
                release=row["b_release"],
                message_id=row["b_mime_id"],
                date=row["b_date"],
                language=row["b_language"],
                tracked=row["b_tracked"],
                verify_code=row["b_code"],
                reason="",
                detail="",
                updated_at=row["b_now"],
            )
        )

    return ForEach(dialect, types, build)


@cache
def _keep_context() -> sa.Update:
    return message.update().where(message.c.id == sa.bindparam("b_id")).values(context=sa.bindparam("b_context"))


@cache
def _to_scheduled() -> sa.Update:
    change = move(S.SCHEDULED, S.CLAIMED).where(message.c.id == sa.bindparam("b_id"))
    return change.values(
        not_before=sa.bindparam("b_until"),
        reason=sa.bindparam("b_reason"),
        detail=sa.bindparam("b_detail"),
        held_by=sa.bindparam("b_held_by"),
        lease_until=None,
        updated_at=sa.bindparam("b_now"),
    )


@cache
def _to_end(state: MessageState) -> sa.Update:
    change = move(state, S.CLAIMED).where(message.c.id == sa.bindparam("b_id"))
    return change.values(
        reason=sa.bindparam("b_reason"),
        detail=sa.bindparam("b_detail"),
        lease_until=None,
        updated_at=sa.bindparam("b_now"),
    )


def paused(connection: Connection) -> dict[str, str]:
    """The kill switches that are on: what (``all``, ``rule:ID``, ``channel:NAME``) to why. They stay on meanwhile."""
    return {key: switch.reason for key, switch in switches(connection, share=True).items()}
