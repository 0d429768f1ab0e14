"""Planning: trigger, match, decide, outbox row. docs/planning.md says the same in plain words.

A rule fires (``events``, ``changes``, ``enters``, ``current``, ``schedules``, ``dates``, and ``services.sends`` for
scripts), the audience is asked for (``audience``, ``buckets``), each candidate climbs the ladder (``judge``), and
what was decided becomes rows (``enqueue``).
"""

from collections.abc import Callable
from datetime import datetime

from outbound.domain.keyring import Keyring
from outbound.services.planning.changes import plan_changes
from outbound.services.planning.current import plan_current
from outbound.services.planning.dates import plan_dates
from outbound.services.planning.enters import plan_enters
from outbound.services.planning.events import plan_events
from outbound.services.planning.moves import plan_moves
from outbound.services.planning.report import Counts, Missed, PlanReport
from outbound.services.planning.schedules import plan_schedules
from outbound.services.planning.unknown import plan_newcomers, plan_unknown
from outbound.services.planning.upcoming import next_due
from outbound.services.planning.window import Pass, arrived, open_pass
from outbound.services.releases import Active
from outbound.storage.database import Database

STAGES: tuple[Callable[[Pass], None], ...] = (
    plan_newcomers,
    plan_events,
    plan_unknown,
    plan_changes,
    plan_enters,
    plan_current,
    plan_moves,
    plan_dates,
    plan_schedules,
)
"""What one pass does, in order: what people did before what the calendar says."""

ARRIVED: tuple[Callable[[Pass], None], ...] = (plan_newcomers, plan_events)
"""What is planned at once when an event comes in; the rest is for the next tick."""


def plan_due(database: Database, active: Active, *, now: datetime, keyring: Keyring | None = None) -> PlanReport:
    """Plan everything due at ``now`` (UTC): pending events, and slots and dates up to half an hour ahead.

    Planning the same twice, at once or after a kill, changes nothing. ``keyring`` is needed for rules that create
    unknown customers; without it they wait as with ``hold``. Raises the first failure after all rules had
    their turn; the next pass then tries again.
    """
    work = open_pass(database, active, now=now, keyring=keyring)
    for stage in STAGES:
        with work.isolated():
            stage(work)
    return work.finish()


def plan_arrived(database: Database, active: Active, *, now: datetime, keyring: Keyring | None = None) -> PlanReport:
    """Show the pending events to the rules, and nothing else. May run beside ``plan_due``; raises as it does."""
    work = arrived(database, active, now=now, keyring=keyring)
    for stage in ARRIVED:
        with work.isolated():
            stage(work)
    return work.finish()


__all__ = ["STAGES", "Counts", "Missed", "PlanReport", "next_due", "plan_arrived", "plan_due"]
