"""Who works on which message: claims by lease, renewal, release, and the recovery of what a dead worker held.

Leases live in the database's clock and are fenced by ``lease_token``, which only grows: a worker that
slept through its lease can still write, but nothing it writes matches (fault F04).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.message import Lane, Message, MessageState
from outbound.domain.outcome import OutcomeKind, Phase
from outbound.storage import locks
from outbound.storage.outbox import as_message, message_columns, move, state_is
from outbound.storage.outbox_results import resend_after_unknown
from outbound.storage.sets import among, chunks
from outbound.storage.tables import attempt, message

S = MessageState

LEASED = (S.CLAIMED, S.SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found under expired leases: messages sent back to ``ready``, and ones nobody can know about."""

    ready: int = 0
    uncertain: int = 0


def claim(
    connection: Connection,
    lane: Lane,
    *,
    limit: int,
    worker: str,
    lease_until: datetime,
    now: datetime,
    keys: tuple[str, str] | None = None,
    without: Sequence[ChannelName] = (),
) -> list[Message]:
    """Take up to ``limit`` ready and due messages of ``lane``, the most urgent first, under a new lease token.

    ``keys`` limits the claim to customer ids from the first (included) to the second (excluded). Messages that
    would begin on one of the channels ``without`` are left alone.
    ``lease_until`` is in the database's clock. Rows another worker is claiming are passed over (F05).
    """
    due = (
        sa.select(message.c.id)
        .where(state_is(S.READY), message.c.lane == lane.value, message.c.not_before <= now)
        .order_by(message.c.priority.desc(), message.c.not_before)
        .limit(limit)
    )
    if keys is not None:
        due = due.where(message.c.customer_id >= keys[0], message.c.customer_id < keys[1])
    for channel in without:
        begins = sa.or_(message.c.channels == channel.value, message.c.channels.startswith(f"{channel.value},"))
        due = due.where(sa.not_(sa.and_(begins, message.c.leg == 1)))
    if connection.dialect.name == "postgresql":
        # A CTE that locks is computed once; a plain subquery may run again and claim past the limit.
        locked = due.with_for_update(skip_locked=True).cte("due")
        due = sa.select(locked.c.id)
    change = (
        move(S.CLAIMED, S.READY)
        .where(message.c.id.in_(due))
        .values(lease_token=message.c.lease_token + 1, lease_until=lease_until, worker=worker, updated_at=now)
        .returning(*message_columns())
    )
    claimed = [as_message(row) for row in connection.execute(change)]
    claimed.sort(key=lambda m: (-m.priority, m.not_before, m.id))
    return claimed


def renew(connection: Connection, tokens: Mapping[str, int], *, lease_until: datetime) -> int:
    """Extend the leases (message id to token) that are still ours. Answers how many were."""
    if not tokens:
        return 0
    change = (
        message.update()
        .where(
            message.c.id == sa.bindparam("b_id"), message.c.lease_token == sa.bindparam("b_token"), state_is(*LEASED)
        )
        .values(lease_until=lease_until)
    )
    # In the order of ids: two workers that touch the same rows then never wait for each other in a ring.
    rows = [{"b_id": i, "b_token": tokens[i]} for i in sorted(tokens)]
    return connection.execute(change, rows).rowcount


def lock_claimed(connection: Connection, tokens: Mapping[str, int]) -> frozenset[str]:
    """Which of the claimed messages (id to token) are still ours.

    They and their customers stay locked to the end of the transaction, in the order of ``storage.locks``.
    """
    locks.of_messages(connection, tokens)
    query = (
        sa.select(message.c.id, message.c.lease_token)
        .where(among(connection, message.c.id, list(tokens)), state_is(S.CLAIMED))
        .order_by(message.c.id)
        .with_for_update()
    )
    return frozenset(row.id for row in connection.execute(query) if tokens[row.id] == row.lease_token)


def release(connection: Connection, ids: Iterable[str], *, now: datetime, not_before: datetime | None = None) -> int:
    """Give claimed messages back unspent, to be claimed again at once or at ``not_before``.

    Call it inside the transaction of ``lock_claimed``.
    """
    values: dict[str, datetime | None] = {"lease_until": None, "updated_at": now}
    if not_before is not None:
        values["not_before"] = not_before
    given = 0
    for some in chunks(list(ids)):
        change = move(S.READY, S.CLAIMED).where(among(connection, message.c.id, some)).values(**values)
        given += connection.execute(change).rowcount
    return given


def recover_expired(
    connection: Connection, *, lease_now: datetime, now: datetime, resend_delay: timedelta, limit: int = 1000
) -> Recovery:
    """Take up to ``limit`` messages whose lease ran out before ``lease_now`` (database clock).

    No attempt, or one that only ``started``: provably unsent, back to ``ready``. ``handoff`` without a
    result: nobody can know, so ``uncertain`` (and ready again only where the class says ``resend``).
    """
    query = (
        sa.select(message.c.id)
        .where(state_is(*LEASED), message.c.lease_until < lease_now)
        .order_by(message.c.lease_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(query).scalars())
    unsent, in_doubt = _sort(connection, ids)
    _close_attempts(connection, in_doubt, Phase.HANDOFF, OutcomeKind.UNCERTAIN)
    uncertain = 0
    if in_doubt:
        doubt = move(S.UNCERTAIN, S.SENDING).where(among(connection, message.c.id, in_doubt))
        values = {"lease_until": None, "updated_at": now, "reason": "provider", "detail": "lease_expired"}
        uncertain = connection.execute(doubt.values(**values)).rowcount
        uncertain -= resend_after_unknown(connection, in_doubt, not_before=now + resend_delay, now=now)
    return Recovery(ready=_unsent_to_ready(connection, unsent, now=now), uncertain=uncertain)


def give_back(connection: Connection, tokens: Mapping[str, int], *, now: datetime) -> int:
    """Return what this worker (message id to token) claimed and never handed over, unspent. Answers how many.

    What it may have handed over stays ``sending`` until its lease runs out and ``recover_expired`` finds it.
    """
    query = (
        sa.select(message.c.id, message.c.lease_token)
        .where(among(connection, message.c.id, list(tokens)), state_is(*LEASED))
        .order_by(message.c.id)
        .with_for_update()
    )
    ids = [row.id for row in connection.execute(query) if tokens[row.id] == row.lease_token]
    return _unsent_to_ready(connection, _sort(connection, ids)[0], now=now)


def _sort(connection: Connection, ids: list[str]) -> tuple[list[str], list[str]]:
    """Locked messages as (provably unsent, in doubt).

    A statement of its own on purpose: having the locks, it sees every handover mark that was committed.
    """
    if not ids:
        return [], []
    current = sa.and_(attempt.c.message_id == message.c.id, attempt.c.lease_token == message.c.lease_token)
    query = sa.select(message.c.id).join(attempt, current).where(among(connection, message.c.id, ids))
    marked = frozenset(connection.execute(query.where(attempt.c.phase != Phase.STARTED.value)).scalars())
    return [i for i in ids if i not in marked], [i for i in ids if i in marked]


def _unsent_to_ready(connection: Connection, ids: list[str], *, now: datetime) -> int:
    if not ids:
        return 0
    _close_attempts(connection, ids, Phase.STARTED, OutcomeKind.NOT_SENT)
    back = move(S.READY, *LEASED).where(among(connection, message.c.id, ids))
    return connection.execute(back.values(lease_until=None, updated_at=now)).rowcount


def _close_attempts(connection: Connection, ids: list[str], phase: Phase, kind: OutcomeKind) -> None:
    """Say on the open attempts of ``ids`` what is known of them."""
    if not ids:
        return
    connection.execute(
        attempt.update()
        .where(among(connection, attempt.c.message_id, ids), attempt.c.phase == phase.value, attempt.c.outcome == "")
        .values(outcome=kind.value, text="the worker ended without an answer")
    )
