"""Everything that happened with one customer, newest first, read a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.prepared import Prepared
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


_NOTHING: Final = sa.literal_column("''", sa.Text)
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)


def _padded(number: sa.Column[Any]) -> sa.ColumnElement[str]:
    """A number as a text that sorts as it does: twenty digits."""
    digits = sa.cast(number, sa.Text)
    return sa.func.substr(
        sa.literal_column("'" + "0" * 20 + "'", sa.Text) + digits, sa.func.length(digits) + 1, type_=sa.Text
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where one kind of entry is kept: the columns that its fields are of.

    ``detail`` is put after ``reason``. In ``details`` the column named "" has a mapping, laid out in its place.
    ``unordered``: no index has the customer's rows in the order of time, but one has their times.
    """

    at: sa.Column[Any]
    key: sa.ColumnElement[Any]
    title: sa.ColumnElement[Any]
    channel: sa.ColumnElement[Any] = _NOTHING
    state: sa.ColumnElement[Any] = _NOTHING
    reason: sa.ColumnElement[Any] = _NOTHING
    detail: sa.ColumnElement[Any] = _NOTHING
    details: Mapping[str, sa.ColumnElement[Any]]
    only: sa.ColumnElement[bool] = field(default_factory=sa.true)
    unordered: bool = False


_SOURCES: Final[Mapping[str, _Source]] = {
    "message": _Source(
        at=message.c.created_at,
        key=message.c.id,
        title=message.c.rule,
        channel=sa.func.coalesce(leg.c.channel, message.c.channels),
        state=message.c.state,
        reason=message.c.reason,
        detail=message.c.detail,
        details={
            "template": message.c.template,
            "topic": message.c.topic,
            "once": message.c.once,
            "run": message.c.run_id,
            "held_by": message.c.held_by,
            "not_before": message.c.not_before,
            "sent_at": message.c.sent_at,
            "address": leg.c.address,
            "attempts": message.c.attempts,
        },
    ),
    "interaction": _Source(
        at=interaction.c.at,
        key=interaction.c.id,
        title=interaction.c.subject,
        channel=interaction.c.channel,
        state=interaction.c.kind,
        reason=interaction.c.attention,
        details={
            "text": interaction.c.text,
            "message": interaction.c.message_id,
            "leg": interaction.c.leg,
            "source": interaction.c.source,
            "by": interaction.c.by,
            "recorded_at": interaction.c.recorded_at,
            "": interaction.c.details,
        },
    ),
    "delivery": _Source(  # what providers and mail servers told of this customer's messages later
        at=delivery_event.c.at,
        key=delivery_event.c.provider + "/" + delivery_event.c.key,
        title=delivery_event.c.kind,
        state=delivery_event.c.kind,
        reason=sa.case((delivery_event.c.bounce != "", delivery_event.c.bounce), else_=delivery_event.c.automated),
        details={
            "message": delivery_event.c.message_id,
            "leg": delivery_event.c.leg,
            "provider": delivery_event.c.provider,
            "code": delivery_event.c.code,
            "said": delivery_event.c.detail,
        },
    ),
    "decision": _Source(  # those that skipped at planning: a send or hold has its message
        at=decision.c.at,
        key=decision.c.rule + "/" + decision.c.once + "/" + decision.c.step,
        title=decision.c.rule,
        channel=decision.c.channel,
        state=decision.c.verdict,
        reason=decision.c.reason,
        detail=decision.c.detail,
        details={"once": decision.c.once, "run": decision.c.run_id},
        only=decision.c.verdict == "skip",
    ),
    "consent": _Source(
        at=consent_event.c.at,
        key=consent_event.c.id,
        title=consent_event.c.topic,
        channel=consent_event.c.channel,
        state=consent_event.c.state,
        details={"": consent_event.c.evidence, "recorded_at": consent_event.c.recorded_at},
    ),
    "event": _Source(
        at=event.c.at,
        key=event.c.id,
        title=event.c.name,
        state=sa.case((event.c.handled_at.is_(None), "waiting"), else_=""),
        details={"": event.c.data, "source": event.c.source},
        unordered=True,
    ),
    "change": _Source(
        at=customer_change.c.at,
        key=_padded(customer_change.c.id),
        title=customer_change.c.attribute,
        details={"old": customer_change.c.old, "new": customer_change.c.new, "source": customer_change.c.source},
    ),
    "operation": _Source(  # what operators did to this customer's messages
        at=operation.c.at,
        key=operation.c.id,
        title=sa.func.coalesce(sa.type_coerce(operation.c.details, sa.JSON)["rule"].as_string(), operation.c.subject),
        state=operation.c.kind,
        reason=operation.c.note,
        details={"by": operation.c.by, "message": operation.c.message_id, "subject": operation.c.subject},
    ),
}


def page(connection: Connection, ids: Sequence[str], *, limit: int, before: Place | None = None) -> list[Entry]:
    """The newest ``limit`` entries of a customer (all the ids they ever had), older than ``before``.

    Each kind is asked for its own newest of each id, in the order of its index; the page is merged from these.
    """
    values: dict[str, Any] = {"most": limit, "last": limit - 1}
    if before is not None:
        values |= {"before_at": before.at, "before_key": before.key}
    entries: list[Entry] = []
    for kind, source in _SOURCES.items():
        turn = None if before is None else (kind > before.kind) - (kind < before.kind)
        newest = _newest(kind, turn, connection.dialect.name)
        for customer_id in ids:
            rows = newest.rows(connection, {**values, "customer_id": customer_id})
            entries += [_entry(kind, source, row) for row in rows]
    return sorted(entries, key=lambda entry: (entry.at, entry.kind, entry.key), reverse=True)[:limit]


@cache
def _newest(kind: str, turn: int | None, dialect: str) -> Prepared:
    """The newest of one kind and customer; with ``turn``, of those older than a place.

    At one moment kinds stand in the order of their names: ``turn`` is -1 for a kind before that of the place, 0 for the
    same kind and 1 for one after it.
    """
    source = _SOURCES[kind]
    at, key = source.at, source.key if dialect == "sqlite" else sa.collate(source.key, "C")  # as Python orders text
    place_at, place_key = sa.bindparam("before_at", type_=at.type), sa.bindparam("before_key", type_=sa.Text)
    mine = at.table.c.customer_id == sa.bindparam("customer_id", type_=sa.Text)
    older: dict[int | None, sa.ColumnElement[bool]] = {
        None: sa.true(),
        -1: at <= place_at,
        0: sa.and_(at <= place_at, sa.or_(at < place_at, key < place_key)),
        1: at < place_at,
    }
    fields = (source.title, source.channel, source.state, source.reason, source.detail)
    query = sa.select(at, key, *fields, *source.details.values()).where(mine, source.only, older[turn])
    if kind == "message":
        query = query.join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg), isouter=True)
    if source.unordered:
        # How far back a page goes, from the index alone: no row is read that is older.
        times = sa.select(at).where(mine, older[1 if turn == 0 else turn]).order_by(at.desc()).limit(1)
        since = times.offset(sa.bindparam("last", type_=sa.Integer)).scalar_subquery()
        query = query.where(at >= sa.func.coalesce(since, sa.literal(_BEGINNING, at.type)))
    most = sa.bindparam("most", type_=sa.Integer)
    return Prepared(query.order_by(at.desc(), key.desc()).limit(most))


def _entry(kind: str, source: _Source, row: Sequence[Any]) -> Entry:
    at, key, title, channel, state, reason, detail, *others = row
    details: dict[str, Any] = {}
    for name, value in zip(source.details, others, strict=True):
        details |= {name: value} if name else value
    return Entry(
        at=at,
        kind=kind,
        key=key,
        title=title,
        channel=channel.partition(",")[0],
        state=state,
        reason=f"{reason}.{detail}" if reason and detail else reason or detail,
        details=details,
    )
