"""When there will be something to do next: what the virtual clock of ``outbound run --at`` jumps to."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from outbound.services.planning.agenda import due_days, due_slots
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.compiled import compiled
from outbound.services.planning.enters import next_sweep
from outbound.services.planning.unknown import patience
from outbound.services.releases import Active
from outbound.storage import changes, next_messages, pending
from outbound.storage.database import Database

_LOOK_AHEAD = tuple(timedelta(days=days) for days in (1, 8, 40, 400))


def next_due(database: Database, active: Active, *, now: datetime) -> datetime | None:
    """The earliest instant from ``now`` on at which a slot, an event or a queued message is due; None if never.

    A slot counts at its own time, although planning takes it up half an hour earlier. Looks 400 days ahead.
    """
    waiting = [*next_waiting(database, active, now=now), *_slots(database, active, now)]
    if compiled(active).doorways:
        waiting.append(next_sweep(now))
    return max(min(waiting), now) if waiting else None


def next_waiting(database: Database, active: Active, *, now: datetime) -> Iterator[datetime]:
    """When what the database holds already is due: queued messages, events, changes."""
    yield from _messages(database)
    yield from _events(database, active, now)
    yield from _changes(database)


def _messages(database: Database) -> Iterator[datetime]:
    with database.read() as connection:
        found = next_messages.earliest(connection)
    if found is not None:
        yield found


def _events(database: Database, active: Active, now: datetime) -> Iterator[datetime]:
    with database.read() as connection:
        known = pending.earliest(connection)
        unknown = pending.oldest_unknown(connection)
    if known is not None:
        yield known
    zone = active.ruleset.policy.timezone
    for name, received_at in unknown.items():
        for listener in compiled(active).listeners.get(name, ()):
            until = patience(listener.rule, zone, received_at)
            if until >= now:
                yield until


def _changes(database: Database) -> Iterator[datetime]:
    with database.read() as connection:
        waiting = changes.earliest(connection)
    if waiting is not None:
        yield waiting


def _slots(database: Database, active: Active, now: datetime) -> Iterator[datetime]:
    buckets = Buckets(database, active.ruleset.policy)
    for horizon in _LOOK_AHEAD:
        until = now + horizon
        found = [instant for due in due_slots(active, buckets, after=now, until=until) for instant, _ in due.times]
        found += [instant for due in due_days(active, buckets, after=now, until=until) for instant, _ in due.times]
        if found:
            yield min(found)
            return
