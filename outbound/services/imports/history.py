"""Events imported as history fire nothing: whom they bring into a watched segment is in it silently (rules.md 1.9)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import resolve_zones
from outbound.services import releases
from outbound.services.planning.compiled import compiled
from outbound.services.releases import Active
from outbound.storage import audience, changes, memberships, runs, silent_entries
from outbound.storage.audience import Members
from outbound.storage.conditions import clause_sql
from outbound.storage.database import Database


class Silence:
    """What came of it: ``entries`` counts the memberships that were noted."""

    entries = 0


@contextmanager
def silently(connection: Connection, database: Database, event: str, *, now: datetime) -> Iterator[Silence]:
    """Write the staged events of this name in the block; planning of entries and publications wait until the end."""
    silence = Silence()
    runs.lock(connection, memberships.LOCK)  # from here on nobody publishes another release either
    active = releases.active(database) if changes.watched(connection).entered else None
    if active is None or not any(event in door.events for door in compiled(active).doorways.values()):
        yield silence
        return
    _each(connection, active, event, now, silent_entries.outside)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE stage_outside")
    yield silence
    _each(connection, active, event, now, silent_entries.came_in)
    silence.entries = silent_entries.note(connection, now=now)


def watching(database: Database) -> tuple[str, ...]:
    """The live rules that watch a segment; none where the release cannot be read: nothing is planned then."""
    try:
        active = releases.active(database)
    except OutboundError:
        return ()
    doors = compiled(active).doorways.values() if active else ()
    return tuple(sorted({rule.id for door in doors for rule in door.rules}))


def _each(connection: Connection, active: Active, event: str, now: datetime, look: Callable[..., None]) -> None:
    """Every segment that looks at the event, in each zone with that zone's today."""
    policy = active.ruleset.policy
    grouped: dict[str, list[str]] = {}
    for source in audience.zone_sources(connection):
        grouped.setdefault(resolve_zones(source, policy).at.key, []).append(source)
    for door in compiled(active).doorways.values():
        if event not in door.events:
            continue
        for _, sources in sorted(grouped.items()):
            zone = resolve_zones(sources[0], policy).at
            today, dialect = local_day(now, zone), connection.dialect.name
            inside = [clause_sql(c, now=now, today=today, zone=zone, dialect=dialect) for c in door.clauses]
            members = Members() if len(grouped) == 1 else Members(sources=tuple(sources))
            look(connection, door.segment, members, inside, events=door.events, attributes=door.attributes)
