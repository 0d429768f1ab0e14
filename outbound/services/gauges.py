"""What a monitor watches: how much waits, how late it is, and what stands in the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outbound.services import refusals
from outbound.storage import gauges
from outbound.storage.database import Database

_ALIVE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """One look at the record. ``lag`` in seconds; ``messages`` by state, final states left out."""

    messages: Mapping[str, int]
    lag: float
    waiting_events: int
    paused_accounts: int
    runs_over_a_limit: int
    daemons: int
    refused: bool


def read(database: Database, *, now: datetime) -> Gauges:
    """A few indexed counts in one snapshot."""
    with database.read() as connection:
        due = gauges.oldest_due(connection, now=now)
        return Gauges(
            messages=gauges.open_messages(connection),
            lag=max(0.0, (now - due).total_seconds()) if due else 0.0,
            waiting_events=gauges.waiting_events(connection),
            paused_accounts=gauges.paused_accounts(connection),
            runs_over_a_limit=gauges.runs_over_a_limit(connection),
            daemons=gauges.daemons_alive(connection, since=now - _ALIVE),
            refused=refusals.standing(connection) is not None,
        )
