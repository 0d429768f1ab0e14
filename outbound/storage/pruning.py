"""What is older than it may be kept: counted, and taken out a batch at a time (C42)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import FINAL_STATES
from outbound.storage import folding, locks, tables
from outbound.storage.outbox import state_is
from outbound.storage.personal import FORGOTTEN
from outbound.storage.sets import among, insert_into

BATCH: Final = 2_000

message, decision, event = tables.message, tables.decision, tables.event
_ENDED: Final = state_is(*sorted(FINAL_STATES))


def overdue(kind: str, cutoff: datetime) -> sa.Select[Any]:
    """The keys of what is of ``kind`` and older than ``cutoff``."""
    query: sa.Select[Any] = _OVERDUE[kind](cutoff)
    return query


def count(connection: Connection, kind: str, cutoff: datetime) -> int:
    """How many rows are over their time."""
    found = overdue(kind, cutoff).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one())


def prune(connection: Connection, kind: str, cutoff: datetime) -> int:
    """Take out one batch; 0 when nothing is left. Call it in a transaction of its own, again and again."""
    keys: list[str] = [row[0] for row in connection.execute(overdue(kind, cutoff).limit(BATCH))]
    if keys:
        _PRUNE[kind](connection, keys, cutoff)
    return len(keys)


def _contexts(cutoff: datetime) -> sa.Select[Any]:
    kept = message.c.context != sa.bindparam(None, dict(FORGOTTEN), message.c.context.type)
    return sa.select(message.c.id).where(_ENDED, message.c.updated_at < cutoff, message.c.customer_id != "", kept)


def _events(cutoff: datetime) -> sa.Select[Any]:
    return sa.select(event.c.id).where(event.c.at < cutoff, event.c.handled_at.is_not(None))


def _texts(cutoff: datetime) -> sa.Select[Any]:
    return sa.select(tables.sms_in.c.id).where(tables.sms_in.c.at < cutoff, tables.sms_in.c.review != "open")


def _inbox(cutoff: datetime) -> sa.Select[Any]:
    raw = tables.inbox_event
    return sa.select(raw.c.id).where(raw.c.received_at < cutoff, raw.c.processed_at.is_not(None))


def _messages(cutoff: datetime) -> sa.Select[Any]:
    return sa.select(message.c.id).where(_ENDED, message.c.updated_at < cutoff)


def _nobodys(cutoff: datetime) -> sa.Select[Any]:
    """Decisions about people who were erased: their key is unique and says nothing."""
    return sa.select(decision.c.once).where(decision.c.customer_id == "", decision.c.at < cutoff).distinct()


def _operations(cutoff: datetime) -> sa.Select[Any]:
    return sa.select(tables.operation.c.id).where(tables.operation.c.at < cutoff)


def _posts(cutoff: datetime) -> sa.Select[Any]:
    """Also what waits: news that old is none."""
    return sa.select(tables.hook_post.c.id).where(tables.hook_post.c.at < cutoff)


def _consents(cutoff: datetime) -> sa.Select[Any]:
    """Chains whose first events are over: another word on the same topic and channel overtook each before ``cutoff``.

    What stands is never over, nor is the last event of a chain.
    """
    ledger, later = tables.consent_event, tables.consent_event.alias("later")
    same = (later.c.chain == ledger.c.chain, later.c.topic == ledger.c.topic, later.c.channel == ledger.c.channel)
    overtaken = sa.exists().where(*same, later.c.n > ledger.c.n, later.c.recorded_at < cutoff)
    stands = sa.exists().where(tables.consent.c.event_id == ledger.c.id)
    first = sa.func.min(sa.case((sa.or_(~overtaken, stands), ledger.c.n), else_=None))
    return sa.select(ledger.c.chain).group_by(ledger.c.chain).having(sa.func.min(ledger.c.n) < first)


def _forget_contexts(connection: Connection, keys: Sequence[str], _cutoff: datetime) -> None:
    mine = among(connection, message.c.id, keys)
    connection.execute(sa.update(message).where(mine).values(context=dict(FORGOTTEN)))


def _delete_by_id(table: sa.Table) -> Callable[[Connection, Sequence[str], datetime], None]:
    def delete(connection: Connection, keys: Sequence[str], _cutoff: datetime) -> None:
        connection.execute(sa.delete(table).where(among(connection, table.c.id, keys)))

    return delete


def _fold(connection: Connection, keys: Sequence[str], _cutoff: datetime) -> None:
    """Messages become sums. The decisions of living customers stay, so that no occurrence happens again."""
    locks.of_messages(connection, keys)
    folding.fold_messages(connection, keys)
    for table, column in ((tables.attempt, "message_id"), (tables.leg, "message_id"), (message, "id")):
        connection.execute(sa.delete(table).where(among(connection, table.c[column], keys)))


def _fold_nobodys(connection: Connection, keys: Sequence[str], _cutoff: datetime) -> None:
    gone = sa.and_(decision.c.customer_id == "", among(connection, decision.c.once, keys))
    folding.fold_skips(connection, gone)
    connection.execute(sa.delete(decision).where(gone))


def _cut_chains(connection: Connection, keys: Sequence[str], cutoff: datetime) -> None:
    """Take the first events of chains out and keep the hash of the last of them: the rest still verifies."""
    ledger = tables.consent_event
    for chain in keys:
        rows = connection.execute(
            sa.select(ledger.c.n, ledger.c.id, ledger.c.topic, ledger.c.channel, ledger.c.recorded_at, ledger.c.hash)
            .where(ledger.c.chain == chain)
            .order_by(ledger.c.n)
        ).all()
        stands = _standing(connection, [row.id for row in rows])
        over = []
        for place, row in enumerate(rows):
            after = rows[place + 1 :]
            same = (r for r in after if (r.topic, r.channel) == (row.topic, row.channel) and r.recorded_at < cutoff)
            if row.id in stands or next(same, None) is None:
                break
            over.append(row)
        last = over[-1]
        anchor = insert_into(connection, tables.consent_anchor).values(
            chain=chain, n=last.n, hash=last.hash, at=last.recorded_at
        )
        changed = {name: anchor.excluded[name] for name in ("n", "hash", "at")}
        connection.execute(anchor.on_conflict_do_update(index_elements=["chain"], set_=changed))
        connection.execute(sa.delete(ledger).where(ledger.c.chain == chain, ledger.c.n <= last.n))


def _standing(connection: Connection, ids: Sequence[str]) -> frozenset[str]:
    query = sa.select(tables.consent.c.event_id).where(among(connection, tables.consent.c.event_id, ids))
    return frozenset(connection.execute(query).scalars())


_OVERDUE: Final[dict[str, Callable[[datetime], Any]]] = {
    "contexts": _contexts,
    "events": _events,
    "texts": _texts,
    "inbox": _inbox,
    "consents": _consents,
    "messages": _messages,
    "nobodys": _nobodys,
    "audit": _operations,
    "webhooks": _posts,
}
_PRUNE: Final[dict[str, Callable[[Connection, Sequence[str], datetime], None]]] = {
    "contexts": _forget_contexts,
    "events": _delete_by_id(event),
    "texts": _delete_by_id(tables.sms_in),
    "inbox": _delete_by_id(tables.inbox_event),
    "consents": _cut_chains,
    "messages": _fold,
    "nobodys": _fold_nobodys,
    "audit": _delete_by_id(tables.operation),
    "webhooks": _delete_by_id(tables.hook_post),
}
