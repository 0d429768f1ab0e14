"""What ``outbound status`` tells: is it running, what waits and why, how late are we."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outbound.storage import overview
from outbound.storage.database import Database

_REMEMBERED = timedelta(days=1)
_ALIVE = timedelta(seconds=30)
"""A daemon not seen for longer has died without saying so: three missed heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``lag`` is in seconds: how long the oldest due message has waited. Times are UTC."""

    daemons: tuple[overview.DaemonSeen, ...]
    lost_daemons: tuple[overview.DaemonSeen, ...]
    release: overview.ActiveSince | None
    lag: float
    pending_events: int
    states: Mapping[str, int]
    held: Mapping[str, int]
    sent: Mapping[str, int]
    counts: Mapping[str, int]


def _lost(seen: tuple[overview.DaemonSeen, ...], now: datetime) -> tuple[overview.DaemonSeen, ...]:
    """Daemons that vanished within the last day and that no later one on the same host has replaced."""
    lost = (d for d in seen if _ALIVE < now - d.seen_at <= _REMEMBERED)
    return tuple(d for d in lost if not any(o.host == d.host and o.started_at > d.started_at for o in seen))


def status(database: Database, *, now: datetime) -> Status:
    """Read everything in one snapshot."""
    with database.read() as connection:
        seen = overview.daemons(connection)
        due = overview.oldest_due(connection, now=now)
        return Status(
            daemons=tuple(d for d in seen if now - d.seen_at <= _ALIVE),
            lost_daemons=_lost(seen, now),
            release=overview.active_since(connection),
            lag=(now - due).total_seconds() if due else 0.0,
            pending_events=overview.pending_events(connection, now=now),
            states=overview.messages_by_state(connection),
            held=overview.waiting_by_reason(connection),
            sent=overview.sent_by_channel(connection),
            counts=overview.counts(connection),
        )
