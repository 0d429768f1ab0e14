"""What ``outbound status`` tells: is it running, what waits and why, how late are we."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outbound.domain.complaints import WINDOW, Complaints
from outbound.services.refusals import Refusal, standing
from outbound.storage import alerts, complaints, costs, overview, run_limits, sms_in
from outbound.storage.alerts import PausedAccount
from outbound.storage.database import Database
from outbound.storage.run_limits import Standing
from outbound.storage.switches import Switch, switches

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
    limited: tuple[Standing, ...] = ()
    """Runs that exceed a limit and wait for `outbound approve`."""
    interrupted: tuple[Standing, ...] = ()
    """Approved runs of which messages still wait: approve them again."""
    spent: Mapping[str, int] = field(default_factory=dict)
    """What was spent by channel, in millionths of ``currency``."""
    currency: str = ""
    paused: tuple[Switch, ...] = ()
    """The kill switches that are on."""
    slowed: tuple[PausedAccount, ...] = ()
    """Provider accounts and destinations that are paused by themselves, and probed."""
    refused: Refusal | None = None
    """The last `outbound apply`, if it was refused."""
    texts: int = 0
    """Unclear texts that wait for a person."""
    complaints: Complaints = field(default_factory=Complaints)
    """Mails of the last seven days that were called spam."""


def lost(seen: tuple[overview.DaemonSeen, ...], now: datetime) -> tuple[overview.DaemonSeen, ...]:
    """Daemons that vanished within the last day and that none of their kind on the same host has replaced since."""
    lost = (d for d in seen if _ALIVE < now - d.seen_at <= _REMEMBERED)
    return tuple(d for d in lost if not any(_replaces(other, d) for other in seen))


def _replaces(other: overview.DaemonSeen, died: overview.DaemonSeen) -> bool:
    same = (other.host, other.role) == (died.host, died.role)
    return same and other.id != died.id and other.started_at > died.seen_at


def status(database: Database, *, now: datetime) -> Status:
    """Read everything in one snapshot."""
    with database.read() as connection:
        seen = overview.daemons(connection)
        due = overview.oldest_due(connection, now=now)
        currency, spent = costs.spent_by_channel(connection)
        return Status(
            daemons=tuple(d for d in seen if now - d.seen_at <= _ALIVE),
            lost_daemons=lost(seen, now),
            release=overview.active_since(connection),
            lag=(now - due).total_seconds() if due else 0.0,
            pending_events=overview.pending_events(connection, now=now),
            states=overview.messages_by_state(connection),
            held=overview.waiting_by_reason(connection),
            sent=overview.sent_by_channel(connection),
            counts=overview.counts(connection),
            limited=run_limits.waiting(connection),
            interrupted=run_limits.interrupted(connection),
            spent=spent,
            currency=currency,
            paused=tuple(switches(connection).values()),
            slowed=tuple(alerts.paused_accounts(connection)),
            refused=standing(connection),
            texts=sms_in.count_waiting(connection),
            complaints=complaints.since(connection, now - WINDOW),
        )
