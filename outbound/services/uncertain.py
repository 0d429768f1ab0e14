"""``outbound uncertain``: what people find out about messages with an unknown outcome, and the end of waiting.

Without evidence nothing is sent again (promise P4). After 72 hours nobody will find out any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.message import MessageState
from outbound.storage import operations, uncertain
from outbound.storage.database import Database
from outbound.storage.sets import chunks
from outbound.storage.uncertain import BATCH, Unknown

CLOSED_AFTER = timedelta(hours=72)
"""Then an uncertain message is closed as unknown (delivery.md 2.3)."""


class Evidence(StrEnum):
    """What an operator found out: it arrived, it did not, or nobody will ever know."""

    SENT = "sent"
    NOT_SENT = "not-sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Uncertain messages, the oldest first; ``total`` may be more than are shown."""

    messages: tuple[Unknown, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """How many messages became what; ``moved`` were no longer uncertain when their turn came."""

    evidence: Evidence
    dry_run: bool
    resolved: int
    moved: int = 0


def listed(database: Database, *, run_id: str = "", rule: str = "", limit: int | None = None) -> Listed:
    """The messages nobody knows about, of a run or a rule where one is named."""
    with database.read() as connection:
        found = uncertain.listed(connection, run_id=run_id, rule=rule, limit=limit)
        return Listed(messages=tuple(found), total=uncertain.count(connection, run_id=run_id, rule=rule))


def resolve(
    database: Database,
    ids: Sequence[str],
    evidence: Evidence,
    *,
    run_id: str = "",
    by: str,
    note: str,
    now: datetime,
    dry_run: bool = False,
) -> Resolved:
    """Believe an operator about these messages, or all uncertain ones of a run.

    ``not-sent`` makes them ready on their own rows: the gate decides again. Raises OutboundError ``message.unknown``
    and ``uncertain.known`` before anything is changed, when one of ``ids`` is no message or not uncertain.
    """
    with database.read() as connection:
        _check(connection, ids)
        if run_id:
            ids = uncertain.ids_of(connection, run_id=run_id)
    if dry_run:
        return Resolved(evidence=evidence, dry_run=True, resolved=len(ids))
    done = 0
    for some in chunks(list(dict.fromkeys(ids)), BATCH):
        with database.write() as connection:
            mine = uncertain.lock(connection, some)
            _change(evidence)(connection, mine, detail=f"operator {by}"[:200], now=now)
            operations.record_each(
                connection, mine, kind=f"resolve {evidence}", subject=run_id, by=by, note=note, now=now
            )
            done += len(mine)
    return Resolved(evidence=evidence, dry_run=False, resolved=done, moved=len(set(ids)) - done)


def close_old(database: Database, *, now: datetime) -> int:
    """Close what has been uncertain for 72 hours. Answers how many."""
    closed = 0
    while True:
        with database.read() as connection:
            ids = uncertain.older_than(connection, now - CLOSED_AFTER)
        if not ids:
            return closed
        with database.write() as connection:
            closed += uncertain.close(connection, uncertain.lock(connection, ids), detail="72h", now=now)


def _change(evidence: Evidence) -> Callable[..., int]:
    return {
        Evidence.SENT: uncertain.was_sent,
        Evidence.NOT_SENT: uncertain.was_not_sent,
        Evidence.UNKNOWN: uncertain.close,
    }[evidence]


def _check(connection: Connection, ids: Sequence[str]) -> None:
    states = uncertain.states(connection, ids)
    for identity in ids:
        state = states.get(identity)
        if state is None:
            message = f"there is no message {identity}"
            raise OutboundError("message.unknown", message, "`outbound uncertain list` shows the ids")
        if state is not MessageState.UNCERTAIN:
            message = f"message {identity} is {state}, not uncertain"
            raise OutboundError(
                "uncertain.known", message, "nothing was changed; `outbound uncertain list` shows the others"
            )
