"""Everything that happened with one customer, newest first, read a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among
from outbound.storage.tables import (
    consent_event,
    customer_change,
    decision,
    delivery_event,
    event,
    interaction,
    leg,
    message,
    operation,
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a page ended: the next one holds what is older."""

    at: datetime
    kind: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened.

    ``kind`` is message, interaction, delivery, decision, consent, event, change or operation. ``state`` is a message's
    state, a contact's kind, a decision's verdict or what was said; ``reason`` why; ``details`` the rest.
    """

    at: datetime
    kind: str
    key: str
    title: str
    channel: str = ""
    state: str = ""
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where this entry stands among all others."""
        return Place(at=self.at, kind=self.kind, key=self.key)


_FIRST_CHANNEL: Final = sa.func.coalesce(leg.c.channel, message.c.channels)


def page(connection: Connection, ids: Sequence[str], *, limit: int, before: Place | None = None) -> list[Entry]:
    """The newest ``limit`` entries of a customer (all the ids they ever had), older than ``before``.

    Each kind is asked for its own newest through its index; the page is merged from these.
    """
    entries: list[Entry] = []
    for read in (_messages, _interactions, _deliveries, _decisions, _consents, _events, _changes, _operations):
        entries += read(connection, ids, limit, before)
    entries = [entry for entry in entries if before is None or entry.place < before]
    return sorted(entries, key=lambda entry: entry.place, reverse=True)[:limit]


def _newest(
    connection: Connection,
    query: sa.Select[Any],
    *,
    at: sa.ColumnElement[datetime],
    key: sa.ColumnElement[Any],
    kind: str,
    limit: int,
    before: Place | None,
) -> Sequence[sa.Row[Any]]:
    if connection.dialect.name != "sqlite":
        key = sa.collate(key, "C")  # code points, as Python orders them
    if before is not None:
        if kind < before.kind:
            older = at <= before.at
        elif kind > before.kind:
            older = at < before.at
        else:
            older = sa.or_(at < before.at, sa.and_(at == before.at, key < before.key))
        query = query.where(older)
    return connection.execute(query.order_by(at.desc(), key.desc()).limit(limit)).all()


def _messages(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    query = (
        sa.select(message, _FIRST_CHANNEL.label("turn"), leg.c.address)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg), isouter=True)
        .where(among(connection, message.c.customer_id, ids))
    )
    rows = _newest(
        connection, query, at=message.c.created_at, key=message.c.id, kind="message", limit=limit, before=before
    )
    return [
        Entry(
            at=row.created_at,
            kind="message",
            key=row.id,
            title=row.rule,
            channel=row.turn.split(",")[0],
            state=row.state,
            reason=_reason(row.reason, row.detail),
            details={
                "template": row.template,
                "topic": row.topic,
                "once": row.once,
                "run": row.run_id,
                "held_by": row.held_by,
                "not_before": row.not_before,
                "sent_at": row.sent_at,
                "address": row.address,
                "attempts": row.attempts,
            },
        )
        for row in rows
    ]


def _interactions(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    query = sa.select(interaction).where(among(connection, interaction.c.customer_id, ids))
    rows = _newest(
        connection, query, at=interaction.c.at, key=interaction.c.id, kind="interaction", limit=limit, before=before
    )
    return [
        Entry(
            at=row.at,
            kind="interaction",
            key=row.id,
            title=row.subject,
            channel=row.channel,
            state=row.kind,
            reason=row.attention,
            details={
                "text": row.text,
                "message": row.message_id,
                "leg": row.leg,
                "source": row.source,
                "by": row.by,
                "recorded_at": row.recorded_at,
                **row.details,
            },
        )
        for row in rows
    ]


def _deliveries(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    """What providers and mail servers told of this customer's messages later."""
    key = delivery_event.c.provider + "/" + delivery_event.c.key
    query = sa.select(delivery_event, key.label("entry")).where(among(connection, delivery_event.c.customer_id, ids))
    rows = _newest(connection, query, at=delivery_event.c.at, key=key, kind="delivery", limit=limit, before=before)
    return [
        Entry(
            at=row.at,
            kind="delivery",
            key=row.entry,
            title=row.kind,
            state=row.kind,
            reason=row.bounce or row.automated,
            details={
                "message": row.message_id,
                "leg": row.leg,
                "provider": row.provider,
                "code": row.code,
                "said": row.detail,
            },
        )
        for row in rows
    ]


def _decisions(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    """Those that skipped at planning: a send or hold has its message."""
    key = decision.c.rule + "/" + decision.c.once + "/" + decision.c.step
    query = sa.select(decision, key.label("entry")).where(
        among(connection, decision.c.customer_id, ids), decision.c.verdict == "skip"
    )
    rows = _newest(connection, query, at=decision.c.at, key=key, kind="decision", limit=limit, before=before)
    return [
        Entry(
            at=row.at,
            kind="decision",
            key=row.entry,
            title=row.rule,
            channel=row.channel,
            state=row.verdict,
            reason=_reason(row.reason, row.detail),
            details={"once": row.once, "run": row.run_id},
        )
        for row in rows
    ]


def _consents(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    query = sa.select(consent_event).where(among(connection, consent_event.c.customer_id, ids))
    rows = _newest(
        connection, query, at=consent_event.c.at, key=consent_event.c.id, kind="consent", limit=limit, before=before
    )
    return [
        Entry(
            at=row.at,
            kind="consent",
            key=row.id,
            title=row.topic,
            channel=row.channel,
            state=row.state,
            details={**row.evidence, "recorded_at": row.recorded_at},
        )
        for row in rows
    ]


def _events(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    query = sa.select(event).where(among(connection, event.c.customer_id, ids))
    rows = _newest(connection, query, at=event.c.at, key=event.c.id, kind="event", limit=limit, before=before)
    return [
        Entry(
            at=row.at,
            kind="event",
            key=row.id,
            title=row.name,
            state="" if row.handled_at else "waiting",
            details={**row.data, "source": row.source},
        )
        for row in rows
    ]


def _changes(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    key = sa.func.lpad(sa.cast(customer_change.c.id, sa.Text), 20, "0")
    if connection.dialect.name == "sqlite":
        key = sa.func.printf("%020d", customer_change.c.id)
    query = sa.select(customer_change, key.label("entry")).where(among(connection, customer_change.c.customer_id, ids))
    rows = _newest(connection, query, at=customer_change.c.at, key=key, kind="change", limit=limit, before=before)
    return [
        Entry(
            at=row.at,
            kind="change",
            key=row.entry,
            title=row.attribute,
            details={"old": row.old, "new": row.new, "source": row.source},
        )
        for row in rows
    ]


def _operations(connection: Connection, ids: Sequence[str], limit: int, before: Place | None) -> list[Entry]:
    """What operators did to this customer's messages."""
    query = sa.select(operation).where(among(connection, operation.c.customer_id, ids))
    rows = _newest(
        connection, query, at=operation.c.at, key=operation.c.id, kind="operation", limit=limit, before=before
    )
    return [
        Entry(
            at=row.at,
            kind="operation",
            key=row.id,
            title=row.details.get("rule", row.subject),
            state=row.kind,
            reason=row.note,
            details={"by": row.by, "message": row.message_id, "subject": row.subject},
        )
        for row in rows
    ]


def _reason(reason: str, detail: str) -> str:
    return f"{reason}.{detail}" if reason and detail else reason or detail
