"""How long what is kept, and the job that keeps to it and proves it by query (C42)."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from outbound.domain.retention import Retention
from outbound.services.reports import equation
from outbound.storage import pruning, runs
from outbound.storage.database import Database

_FACT: Final = "pruned"


_KINDS: Final = (
    ("contexts", "contexts"),
    ("events", "events"),
    ("texts", "events"),
    ("inbox", "inbox"),
    ("consents", "consents"),
    ("messages", "messages"),
    ("nobodys", "messages"),
    ("audit", "audit"),
    ("webhooks", "webhooks"),
)
"""What is pruned, in this order, and the setting it is kept by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """One class of what is kept. ``left`` is what a query still finds beyond ``before`` afterwards: 0 is the proof."""

    kind: str
    days: int
    before: datetime
    rows: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What was pruned, or would be. ``holds``: every candidate of every run is still accounted for."""

    classes: tuple[Pruned, ...]
    holds: bool
    dry_run: bool

    @property
    def proven(self) -> bool:
        """Whether nothing is left beyond its time and the equation holds."""
        return self.holds and (self.dry_run or not any(one.left for one in self.classes))


def prune(database: Database, retention: Retention, *, now: datetime, dry_run: bool = False) -> PruneReport:
    """Take out what is over its time, a batch per transaction; killed in the middle, the next call goes on."""
    classes = []
    for kind, setting in _KINDS:
        days: int = getattr(retention, setting)
        if not days:
            continue
        before = now - timedelta(days=days)
        with database.read() as connection:
            due = pruning.count(connection, kind, before)
        rows = due if dry_run else _all(database, kind, before)
        with database.read() as connection:
            left = pruning.count(connection, kind, before)
        classes.append(Pruned(kind=kind, days=days, before=before, rows=rows, left=left))
    with database.read() as connection:
        holds = equation(connection, None).holds
    return PruneReport(classes=tuple(classes), holds=holds, dry_run=dry_run)


def prune_daily(database: Database, retention: Retention, *, now: datetime) -> PruneReport | None:
    """Prune once a day (UTC) in the fleet: None where somebody did today."""
    today = now.astimezone(UTC).date().isoformat()
    with database.write() as connection:
        runs.lock(connection, _FACT)
        if runs.read_fact(connection, _FACT) == today:
            return None
        runs.write_fact(connection, _FACT, today)
    return prune(database, retention, now=now)


def _all(database: Database, kind: str, before: datetime) -> int:
    total = 0
    while True:
        with database.write() as connection:
            runs.lock(connection, _FACT)
            taken = pruning.prune(connection, kind, before)
        if not taken:
            return total
        total += taken
