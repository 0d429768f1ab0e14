"""Counts over the whole installation, for ``outbound status``."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage.outbox import state_is
from outbound.storage.tables import active_release, daemon, event, leg, message, run


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSeen:
    """A daemon that has not ended by itself. ``role`` is its command, ``holds`` how many messages it has claimed."""

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    role: str = "run"
    holds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSince:
    """The active release, since when, and who activated it."""

    release: str
    activated_at: datetime
    activated_by: str


def messages_by_state(connection: Connection) -> dict[str, int]:
    """How many messages are in each state."""
    query = sa.select(message.c.state, sa.func.count()).group_by(message.c.state)
    return _counted(connection, query)


def waiting_by_reason(connection: Connection) -> dict[str, int]:
    """Held messages by the reason that holds them."""
    query = (
        sa.select(message.c.reason, sa.func.count())
        .where(message.c.state == "scheduled", message.c.reason != "")
        .group_by(message.c.reason)
    )
    return _counted(connection, query)


def sent_by_channel(connection: Connection) -> dict[str, int]:
    """Sent messages by the channel of the leg that was accepted."""
    query = (
        sa.select(leg.c.channel, sa.func.count())
        .select_from(message.join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)))
        .where(message.c.state == "sent")
        .group_by(leg.c.channel)
    )
    return _counted(connection, query)


def _counted(connection: Connection, query: sa.Select[Any]) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def oldest_due(connection: Connection, *, now: datetime) -> datetime | None:
    """When the message that waits longest to be claimed became due, or None when nothing waits."""
    query = sa.select(sa.func.min(message.c.not_before, type_=message.c.not_before.type)).where(
        sa.or_(message.c.state == "ready", message.c.state == "scheduled"), message.c.not_before <= now
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def pending_events(connection: Connection, *, now: datetime) -> int:
    """Events that have happened and that no rule has seen yet."""
    query = sa.select(sa.func.count()).select_from(event).where(event.c.handled_at.is_(None), event.c.at <= now)
    return int(connection.execute(query).scalar_one())


def daemons(connection: Connection) -> tuple[DaemonSeen, ...]:
    """Daemons that have not ended by themselves, the newest first."""
    held = (
        sa.select(sa.func.count())
        .where(state_is(MessageState.CLAIMED, MessageState.SENDING), message.c.worker == daemon.c.worker)
        .scalar_subquery()
    )
    names = ("id", "host", "pid", "version", "started_at", "seen_at", "role")
    query = sa.select(*(daemon.c[name] for name in names), held.label("holds"))
    query = query.where(daemon.c.stopped_at.is_(None)).order_by(daemon.c.started_at.desc(), daemon.c.id.desc())
    return tuple(DaemonSeen(**row) for row in connection.execute(query).mappings())


def active_since(connection: Connection) -> ActiveSince | None:
    """Which release is active."""
    columns = (active_release.c.release_id, active_release.c.activated_at, active_release.c.activated_by)
    row = connection.execute(sa.select(*columns).order_by(active_release.c.n.desc()).limit(1)).first()
    return ActiveSince(release=row[0], activated_at=row[1], activated_by=row[2]) if row else None


def latest_runs(connection: Connection, *, rule: str = "", limit: int = 50) -> tuple[str, ...]:
    """Ids of runs, the newest first."""
    query = sa.select(run.c.id).order_by(run.c.started_at.desc(), run.c.rule, run.c.slot).limit(limit)
    return tuple(connection.execute(query.where(run.c.rule == rule) if rule else query).scalars())


def runs_before(
    connection: Connection, *, rule: str, limit: int, before: tuple[datetime, str] | None
) -> tuple[str, ...]:
    """Ids of runs, the newest first, older than ``before`` (started_at, id)."""
    query = sa.select(run.c.id).order_by(run.c.started_at.desc(), run.c.id.desc()).limit(limit)
    if rule:
        query = query.where(run.c.rule == rule)
    if before is not None:
        at, key = before
        query = query.where(sa.or_(run.c.started_at < at, sa.and_(run.c.started_at == at, run.c.id < key)))
    return tuple(connection.execute(query).scalars())


def find_runs(connection: Connection, name: str) -> tuple[str, ...]:
    """Runs that ``name`` can mean: an id, its beginning, or ``RULE/SLOT``."""
    rule, _, slot = name.partition("/")
    query = sa.select(run.c.id).where(
        sa.or_(run.c.id.startswith(name, autoescape=True), sa.and_(run.c.rule == rule, run.c.slot == slot))
    )
    return tuple(connection.execute(query.limit(3)).scalars())


def counts(connection: Connection) -> Mapping[str, int]:
    """Rows of the record that an operator asks about."""
    names = ("customer", "event", "consent_event", "suppression", "message", "run")
    tables = message.metadata.tables
    return {
        name: int(connection.execute(sa.select(sa.func.count()).select_from(tables[name])).scalar_one())
        for name in names
    }
