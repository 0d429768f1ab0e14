"""The two writes around the point of no return: the handover mark before it, the result after it.

Both take whole groups (group commit), both are fenced: an attempt counts only while its lease token is
still the message's and the message is still ``sending``. What a worker says after that is late evidence:
kept on the attempt, never on the message, except that a proof of acceptance ends an ``uncertain``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningUpdate

from outbound.domain.consent import Suppression
from outbound.domain.customer import ChannelName
from outbound.domain.message import MessageState
from outbound.domain.outcome import Outcome, OutcomeKind, Phase
from outbound.domain.reasons import Reason
from outbound.storage import bounces, hooks, sent_news, suppressions
from outbound.storage.for_each import ForEach, Values
from outbound.storage.outbox import move, state_is
from outbound.storage.outbox_bound import SQLITE, among_ids, bind_ids
from outbound.storage.sets import among
from outbound.storage.switches import not_paused
from outbound.storage.tables import attempt, leg, message

S = MessageState

_SILENT = frozenset({OutcomeKind.UNCERTAIN, OutcomeKind.NOT_SENT})
"""Outcomes without an answer of the provider: the attempt stays in the phase it had reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLeg:
    """The message goes on to ``channel``, because of ``moved_on`` (a word of the policy's ``next_on``)."""

    channel: ChannelName
    moved_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one attempt came to, and where its message goes from ``sending``.

    ``not_before`` belongs to ``ready`` (a retry); ``charged`` counts the attempt against the retry schedule.
    With ``next_leg`` the state is ``failed`` for the moment it takes to open the next leg. ``cost`` is in
    millionths, of what the provider accepted. ``suppress_repeated`` are blocks for when the same has happened before
    (``storage.bounces``).
    """

    attempt_id: str
    message_id: str
    leg: int
    outcome: Outcome
    state: MessageState
    reason: Reason | None = None
    not_before: datetime | None = None
    charged: bool = False
    next_leg: NextLeg | None = None
    resend_at: datetime | None = None
    suppress: tuple[Suppression, ...] = ()
    suppress_repeated: tuple[Suppression, ...] = ()
    cost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which attempts were too late to move their message, and which of those proved an uncertain one sent."""

    late: frozenset[str] = frozenset()
    proved: frozenset[str] = frozenset()


def mark_handoff(connection: Connection, marks: Mapping[str, str], *, now: datetime) -> frozenset[str]:
    """Make the handover of these attempts durable (attempt id to body hash). Only the ids answered may go on.

    The others lost their lease, or an operator paused them since their gate: their worker must drop the connection
    before the final dot.
    """
    dialect = connection.dialect.name
    ids = bind_ids(dialect, not_paused(connection, marks))
    if dialect != SQLITE:
        connection.execute(_live(dialect), ids)  # waits for a recovery that holds the row, and keeps the next out
    marked = {row[0]: row[1] for row in connection.execute(_mark(dialect), {**ids, "b_now": now})}
    if marked:
        fixed = [{"b_id": message_id, "b_hash": marks[i]} for i, message_id in sorted(marked.items())]
        _fix_hash(dialect).run(connection, fixed)
    return frozenset(marked)


def record(connection: Connection, results: Sequence[Result], *, now: datetime) -> Recorded:
    """Write a group of results: the attempts always, the messages where the lease is still ours."""
    if not results:
        return Recorded()
    blocks = [block for r in results for block in r.suppress]
    blocks += bounces.repeated(connection, results, now=now)
    if blocks:
        suppressions.add(connection, blocks)  # first, because it locks customers: see storage.locks
    dialect = connection.dialect.name
    live = frozenset(connection.execute(_live(dialect), bind_ids(dialect, (r.attempt_id for r in results))).scalars())
    _write_attempts(connection, results, now=now)
    timely = [r for r in results if r.attempt_id in live]
    late = [r for r in results if r.attempt_id not in live]
    _write_messages(connection, timely, now=now)
    references = [
        {"b_id": r.message_id, "b_n": r.leg, "b_ref": r.outcome.provider_ref} for r in results if r.outcome.provider_ref
    ]
    if references:
        _refer(dialect).run(connection, references)
    _charge(connection, results)
    return Recorded(late=frozenset(r.attempt_id for r in late), proved=_prove(connection, late, now=now))


def _charge(connection: Connection, results: Sequence[Result]) -> None:
    """Write what accepted messages cost, also late ones: the provider bills them. Few prices: one UPDATE for each."""
    by_price: dict[tuple[int, int], list[str]] = defaultdict(list)
    for result in results:
        if result.cost:
            by_price[result.cost, result.leg].append(result.message_id)
    dialect = connection.dialect.name
    for (cost, n), ids in sorted(by_price.items()):
        connection.execute(_charged(dialect), {**bind_ids(dialect, sorted(ids)), "b_n": n, "b_cost": cost})


def resend_after_unknown(connection: Connection, ids: Sequence[str], *, not_before: datetime, now: datetime) -> int:
    """Uncertain → ready for messages whose class says ``on_uncertain: resend`` and that have not run out (P4)."""
    change = move(S.READY, S.UNCERTAIN).where(
        among(connection, message.c.id, ids), message.c.on_uncertain == "resend", message.c.expires > not_before
    )
    values = {"not_before": not_before, "lease_until": None, "updated_at": now}
    return connection.execute(change.values(attempts=message.c.attempts + 1, **values)).rowcount


@cache
def _live(dialect: str) -> sa.Select[str]:
    """The attempts whose lease is still theirs; their messages stay locked to the end of the transaction."""
    return (
        sa.select(attempt.c.id)
        .join(message, sa.and_(message.c.id == attempt.c.message_id, message.c.lease_token == attempt.c.lease_token))
        .where(among_ids(dialect, attempt.c.id), state_is(S.SENDING))
        .order_by(message.c.id)
        .with_for_update(of=message)
    )


@cache
def _mark(dialect: str) -> ReturningUpdate[str, str]:
    ours = (
        sa.select(sa.literal(1))
        .where(message.c.id == attempt.c.message_id, message.c.lease_token == attempt.c.lease_token)
        .where(state_is(S.SENDING))
        .exists()
    )
    return (
        attempt.update()
        .where(among_ids(dialect, attempt.c.id), attempt.c.phase == Phase.STARTED.value, ours)
        .values(phase=Phase.HANDOFF.value, handoff_at=sa.bindparam("b_now"))
        .returning(attempt.c.id, attempt.c.message_id)
    )


@cache
def _fix_hash(dialect: str) -> ForEach:
    types = {"b_id": message.c.id.type, "b_hash": message.c.body_hash.type}
    return ForEach(
        dialect, types, lambda row: message.update().where(message.c.id == row["b_id"]).values(body_hash=row["b_hash"])
    )


@cache
def _refer(dialect: str) -> ForEach:
    types = {"b_id": leg.c.message_id.type, "b_n": leg.c.n.type, "b_ref": leg.c.provider_ref.type}

    def build(row: Values) -> sa.Update:
        bound = (leg.c.message_id == row["b_id"], leg.c.n == row["b_n"])
        return leg.update().where(*bound).values(provider_ref=row["b_ref"])

    return ForEach(dialect, types, build)


@cache
def _charged(dialect: str) -> sa.Update:
    bound = (among_ids(dialect, leg.c.message_id), leg.c.n == sa.bindparam("b_n"))
    return leg.update().where(*bound).values(cost=sa.bindparam("b_cost"))


@cache
def _answer(dialect: str, *, silent: bool) -> ForEach:
    types: dict[str, Any] = {
        "b_id": attempt.c.id.type,
        "b_outcome": attempt.c.outcome.type,
        "b_code": attempt.c.code.type,
        "b_enhanced": attempt.c.enhanced.type,
        "b_text": attempt.c.text.type,
    }
    if not silent:
        types["b_now"] = attempt.c.replied_at.type

    def build(row: Values) -> sa.Update:
        change = attempt.update().where(attempt.c.id == row["b_id"])
        if not silent:
            change = change.values(phase=Phase.REPLIED.value, replied_at=row["b_now"])
        return change.values(
            outcome=row["b_outcome"], code=row["b_code"], enhanced=row["b_enhanced"], text=row["b_text"]
        )

    return ForEach(dialect, types, build)


@cache
def _sent(dialect: str) -> sa.Update:
    return (
        move(S.SENT, S.SENDING)
        .where(among_ids(dialect, message.c.id))
        .values(
            reason="",
            detail="",
            attempts=message.c.attempts + 1,
            lease_until=None,
            sent_at=sa.bindparam("b_now"),
            updated_at=sa.bindparam("b_now"),
        )
    )


@cache
def _moved(state: MessageState) -> sa.Update:
    change = move(state, S.SENDING).where(message.c.id == sa.bindparam("b_id"))
    if state is S.READY:
        change = change.values(not_before=sa.bindparam("b_not_before"))
    return change.values(
        reason=sa.bindparam("b_reason"),
        detail=sa.bindparam("b_detail"),
        attempts=message.c.attempts + sa.bindparam("b_charged"),
        lease_until=None,
        updated_at=sa.bindparam("b_now"),
    )


def _write_attempts(connection: Connection, results: Sequence[Result], *, now: datetime) -> None:
    rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for result in results:
        outcome = result.outcome
        row = {
            "b_id": result.attempt_id,
            "b_outcome": outcome.kind.value,
            "b_code": outcome.code,
            "b_enhanced": outcome.enhanced,
            "b_text": outcome.text,
        }
        silent = outcome.kind in _SILENT
        rows[silent].append(row if silent else {**row, "b_now": now})
    for silent, some in rows.items():
        if some:
            _answer(connection.dialect.name, silent=silent).run(connection, some)


def _write_messages(connection: Connection, results: Sequence[Result], *, now: datetime) -> None:
    by_state: dict[MessageState, list[Result]] = defaultdict(list)
    for result in results:
        by_state[result.state].append(result)
    dialect = connection.dialect.name
    for state, some in by_state.items():
        if state is S.SENT:
            connection.execute(_sent(dialect), {**bind_ids(dialect, (r.message_id for r in some)), "b_now": now})
            sent_news.tell(connection, [r.message_id for r in some], now=now)
        else:
            connection.execute(_moved(state), [_row(result, state, now) for result in some])
            if state is S.FAILED:
                hooks.tell_failed(connection, [r.message_id for r in some if r.next_leg is None], now=now)
    _open_legs(connection, [r for r in results if r.next_leg is not None], now=now)
    for result in by_state[S.UNCERTAIN]:
        if result.resend_at is not None:
            resend_after_unknown(connection, [result.message_id], not_before=result.resend_at, now=now)


def _row(result: Result, state: MessageState, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {
        "b_id": result.message_id,
        "b_reason": result.reason.code.value if result.reason else "",
        "b_detail": result.reason.detail[:200] if result.reason else "",
        "b_charged": int(result.charged),
        "b_now": now,
    }
    if state is S.READY:
        row["b_not_before"] = result.not_before
    return row


def _open_legs(connection: Connection, results: Sequence[Result], *, now: datetime) -> None:
    """Failed → ready, together with why the leg was left and the row of the next one (its address: at the gate)."""
    if not results:
        return
    bound = (leg.c.message_id == sa.bindparam("b_id"), leg.c.n == sa.bindparam("b_n"))
    pairs = [(r, r.next_leg) for r in results if r.next_leg is not None]
    connection.execute(
        leg.update().where(*bound).values(moved_on=sa.bindparam("b_moved_on")),
        [{"b_id": r.message_id, "b_n": r.leg, "b_moved_on": following.moved_on} for r, following in pairs],
    )
    owner = sa.select(message.c.customer_id).where(message.c.id == sa.bindparam("b_id")).scalar_subquery()
    connection.execute(
        leg.insert().values(message_id=sa.bindparam("b_id"), customer_id=owner),
        [
            {
                "b_id": r.message_id,
                "n": r.leg + 1,
                "channel": following.channel.value,
                "address": "",
                "account": "",
                "provider_ref": "",
                "moved_on": "",
                "cost": 0,
                "at": now,
            }
            for r, following in pairs
        ],
    )
    change = move(S.READY, S.FAILED).where(among(connection, message.c.id, [r.message_id for r in results]))
    values = {"not_before": now, "attempts": 0, "body_hash": "", "updated_at": now, "reason": "", "detail": ""}
    connection.execute(change.values(leg=message.c.leg + 1, **values))


def _prove(connection: Connection, late: Sequence[Result], *, now: datetime) -> frozenset[str]:
    """Uncertain → sent where the late word of that very attempt is an acceptance."""
    accepted = [r for r in late if r.outcome.kind is OutcomeKind.ACCEPTED]
    proved = set()
    for result in accepted:
        same = sa.select(attempt.c.lease_token).where(attempt.c.id == result.attempt_id).scalar_subquery()
        change = move(S.SENT, S.UNCERTAIN).where(message.c.id == result.message_id, message.c.lease_token == same)
        values = {"reason": "", "detail": "late_evidence", "sent_at": now, "updated_at": now}
        if connection.execute(change.values(**values)).rowcount:
            proved.add(result.attempt_id)
            sent_news.tell(connection, [result.message_id], now=now)
    return frozenset(proved)
