"""Runs that exceed a limit of their rule: how they were counted, who approved them, and their held messages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.limits import REJECTED, Counted, Exceeded
from outbound.domain.message import Message, MessageState
from outbound.domain.reasons import Reason, ReasonCode
from outbound.storage.outbox import as_message, message_columns, move, state_is
from outbound.storage.sets import among
from outbound.storage.tables import message, run

S = MessageState

_QUEUED = (S.SCHEDULED, S.READY)
_FEW = 20
"""So many messages to one statement are worth a statement of their own."""
_UNFINISHED = (*_QUEUED, S.CLAIMED, S.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a run stands with its limits.

    ``messages`` and ``cost`` (millionths of ``currency``) are planned so far; ``counted`` is the whole run, None
    where nobody counted. ``limited`` is the exceeded limit, "" for none, ``text`` the same in words.
    ``approved`` is what was approved, or None; ``decided_by`` and ``decided_at`` say who approved or rejected.
    """

    id: str
    rule: str
    slot: str
    trigger: str
    started_at: datetime
    messages: int
    cost: int
    currency: str
    limited: str = ""
    text: str = ""
    counted: Counted | None = None
    approved: Counted | None = None
    decided_by: str = ""
    decided_at: datetime | None = None

    @property
    def name(self) -> str:
        """RULE/SLOT, as commands take it."""
        return f"{self.rule}/{self.slot}"

    @property
    def waits(self) -> bool:
        """Whether a person has to decide."""
        return self.limited not in {"", REJECTED}

    @property
    def whole(self) -> Counted:
        """The run as a person is asked about it: as counted, or what is planned where that is more by now."""
        counted = self.counted or Counted()
        messages, cost = max(counted.messages, self.messages), max(counted.cost, self.cost)
        return Counted(messages=messages, cost=cost, channels=counted.channels)


def limited(connection: Connection) -> dict[str, str]:
    """Runs whose messages must not leave: id to the exceeded limit, or ``rejected``."""
    query = sa.select(run.c.id, run.c.limited).where(run.c.limited != "")
    return {row[0]: row[1] for row in connection.execute(query)}


def standing(connection: Connection, run_id: str) -> Standing | None:
    """Where one run stands, None when there is no such run."""
    row = connection.execute(sa.select(run).where(run.c.id == run_id)).mappings().first()
    return _standing(row) if row else None


def waiting(connection: Connection) -> tuple[Standing, ...]:
    """The runs that wait for a person, the oldest first."""
    query = sa.select(run).where(run.c.limited != "", run.c.limited != REJECTED).order_by(run.c.started_at, run.c.id)
    return tuple(_standing(row) for row in connection.execute(query).mappings())


def interrupted(connection: Connection) -> tuple[Standing, ...]:
    """Approved runs of which messages still wait: the call that approved them died before it was done."""
    left = sa.exists().where(message.c.run_id == run.c.id, _held())
    query = sa.select(run).where(run.c.approved_at.is_not(None), run.c.limited == "", left).order_by(run.c.id)
    return tuple(_standing(row) for row in connection.execute(query).mappings())


def past_messages(connection: Connection, rule: str, *, slot: str, limit: int) -> list[int]:
    """How many messages the last finished runs of a rule had, the newest first, the run of ``slot`` left out.

    Finished: nothing of it waits or is in flight, and nobody stopped it.
    """
    mine = sa.exists().where(message.c.run_id == run.c.id, state_is(*_UNFINISHED))
    query = (
        sa.select(run.c.candidates - run.c.skipped)
        .where(run.c.rule == rule, run.c.slot != slot, run.c.limited == "", sa.not_(mine))
        .order_by(run.c.started_at.desc(), run.c.id.desc())
        .limit(limit)
    )
    return [int(row[0]) for row in connection.execute(query)]


def keep_count(connection: Connection, run_id: str, counted: Counted, exceeded: Exceeded | None) -> None:
    """Keep what was counted, and stop the run where that exceeds a limit; a decision stands until it does."""
    document: dict[str, Any] = {
        "messages": counted.messages,
        "cost": counted.cost,
        "channels": {name: list(sums) for name, sums in counted.channels.items()},
        "exceeded": exceeded.text if exceeded else "",
    }
    values: dict[str, Any] = {"counted": document}
    if exceeded is not None:
        values["limited"] = exceeded.what
    connection.execute(run.update().where(run.c.id == run_id, run.c.limited != REJECTED).values(**values))


def decide(connection: Connection, run_id: str, *, limited: str, approved: Counted, by: str, now: datetime) -> None:
    """Write down what a person said: ``limited`` becomes "" or ``rejected``."""
    values = {
        "limited": limited,
        "approved_messages": approved.messages,
        "approved_cost": approved.cost,
        "approved_by": by,
        "approved_at": now,
    }
    connection.execute(run.update().where(run.c.id == run_id).values(**values))


def held_ids(connection: Connection, run_id: str, *, limit: int) -> list[str]:
    """Up to ``limit`` messages of a run that wait for approval, in the order they were planned."""
    query = sa.select(message.c.id).where(message.c.run_id == run_id, _held()).order_by(message.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def queued_ids(connection: Connection, run_id: str, *, limit: int) -> list[str]:
    """Up to ``limit`` messages of a run that have not left and that nobody works on."""
    query = sa.select(message.c.id).where(message.c.run_id == run_id, state_is(*_QUEUED)).order_by(message.c.id)
    return list(connection.execute(query.limit(limit)).scalars())


def held(connection: Connection, ids: Sequence[str]) -> list[Message]:
    """Those among ``ids`` that still wait for approval, in the order they were planned, locked."""
    query = sa.select(*message_columns()).where(among(connection, message.c.id, ids), _held()).order_by(message.c.id)
    return [as_message(row) for row in connection.execute(query.with_for_update())]


def held_counts(connection: Connection, run_id: str, *, now: datetime) -> tuple[int, int]:
    """How many messages of a run wait for approval, and how many of these can still leave in time."""
    in_time = sa.func.sum(sa.case((message.c.expires > now, 1), else_=0))
    query = sa.select(sa.func.count(), in_time).where(message.c.run_id == run_id, _held())
    row = connection.execute(query).one()
    return int(row[0]), int(row[1] or 0)


def last_planned(connection: Connection, run_id: str) -> dict[bool, datetime]:
    """When the last message of a run may leave that does not wait for approval, by: another gate holds it."""
    other = message.c.reason != ""
    latest = sa.func.max(message.c.not_before, type_=message.c.not_before.type)
    query = (
        sa.select(other, latest).where(message.c.run_id == run_id, state_is(*_QUEUED), sa.not_(_held())).group_by(other)
    )
    return {bool(row[0]): row[1] for row in connection.execute(query)}


def release(connection: Connection, rows: Sequence[tuple[str, datetime, Reason | None]], *, now: datetime) -> int:
    """Let held messages (id, when they may leave, what else holds them) go on their way. Answers how many."""
    alike: dict[tuple[datetime, Reason | None], list[str]] = defaultdict(list)
    for message_id, not_before, reason in rows:
        alike[not_before, reason].append(message_id)
    if len(alike) * _FEW <= len(rows):  # without a pace nearly all leave together
        return sum(
            connection.execute(_released(not_before, reason, now).where(among(connection, message.c.id, ids))).rowcount
            for (not_before, reason), ids in alike.items()
        )
    change = _released(sa.bindparam("b_not_before"), None, now).where(message.c.id == sa.bindparam("b_id"))
    change = change.values(reason=sa.bindparam("b_reason"), detail=sa.bindparam("b_detail"))
    bound = [
        {
            "b_id": message_id,
            "b_not_before": not_before,
            "b_reason": reason.code.value if reason else "",
            "b_detail": reason.detail if reason else "",
        }
        for message_id, not_before, reason in rows
    ]
    return connection.execute(change, bound).rowcount if bound else 0


def _released(not_before: Any, reason: Reason | None, now: datetime) -> sa.Update:
    values = {
        "not_before": not_before,
        "reason": reason.code.value if reason else "",
        "detail": reason.detail if reason else "",
        "updated_at": now,
    }
    return message.update().where(_held()).values(**values)


def cancel(connection: Connection, ids: Sequence[str], *, now: datetime) -> int:
    """Cancel the queued ones among ``ids``, messages of a rejected run. Answers how many."""
    query = sa.select(message.c.id).where(among(connection, message.c.id, ids), state_is(*_QUEUED))
    locked = list(connection.execute(query.order_by(message.c.id).with_for_update()).scalars())
    change = move(S.CANCELLED, *_QUEUED).where(among(connection, message.c.id, locked))
    values = {"reason": ReasonCode.LIMITS.value, "detail": REJECTED, "updated_at": now}
    return connection.execute(change.values(**values)).rowcount


def _held() -> sa.ColumnElement[bool]:
    return sa.and_(state_is(S.SCHEDULED), message.c.reason == ReasonCode.LIMITS.value)


def _standing(row: Mapping[Any, Any]) -> Standing:
    kept = row["counted"]
    counted = None
    if kept is not None:
        channels = {name: (int(sums[0]), int(sums[1])) for name, sums in kept["channels"].items()}
        counted = Counted(messages=kept["messages"], cost=kept["cost"], channels=channels)
    approved = None
    if row["approved_at"] is not None and row["limited"] != REJECTED:
        approved = Counted(messages=row["approved_messages"], cost=row["approved_cost"])
    return Standing(
        id=row["id"],
        rule=row["rule"],
        slot=row["slot"],
        trigger=row["trigger"],
        started_at=row["started_at"],
        messages=row["candidates"] - row["skipped"],
        cost=row["cost"],
        currency=row["currency"],
        limited=row["limited"],
        text=kept["exceeded"] if kept is not None else "",
        counted=counted,
        approved=approved,
        decided_by=row["approved_by"],
        decided_at=row["approved_at"],
    )
