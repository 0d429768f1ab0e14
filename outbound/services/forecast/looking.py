"""When a forecast asks everybody whether they came into a segment that a rule waits at.

The daemon asks in every full hour, because time alone moves people: an event falls out of its window, a day begins.
In a scratch copy nothing else happens unseen, so that a look can be left out where no event has crossed an edge of a
window, no day on which a condition counts has begun and nobody has said yes. Nobody would have been found.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from outbound.domain.condition import DaysSince, DaysUntil
from outbound.domain.windows import window_start
from outbound.engine.conditions.facts import lookbacks
from outbound.engine.conditions.parts import parts_of
from outbound.engine.timing.walls import local_day
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.compiled import Doorway, compiled
from outbound.services.planning.enters import full_hour, skip_sweep
from outbound.services.planning.window import waits
from outbound.services.releases import Active
from outbound.storage import consents, events
from outbound.storage.database import Database


class Segments:
    """The looks of one course, at least ``every`` so long apart."""

    def __init__(self, database: Database, active: Active, start: datetime, every: timedelta) -> None:
        self._database, self._active, self._every = database, active, every
        self._doors = tuple(compiled(active).doorways.values())
        self._next = [start] if self._doors else []
        self._asked: datetime | None = None
        self._moved = False

    def look(self, now: datetime) -> bool:
        """Whether that time has come; planning leaves it alone otherwise."""
        if not self._next:
            return False
        with self._database.read() as connection:
            self._moved = self._moved or waits(connection).moves  # another zone is another clock
        if now >= self._next[0]:
            self._next = [full_hour(now) + self._every]
            before, self._asked = self._asked, now
            if before is None or self._moved or self._may_move(before, now):
                self._moved = False
                return True
        with self._database.write() as connection:
            skip_sweep(connection, now)
        return False

    def upcoming(self) -> list[datetime]:
        """When it comes next, if ever."""
        return self._next

    def _may_move(self, before: datetime, now: datetime) -> bool:
        """Whether time alone can have moved somebody since ``before``."""
        edges = set[tuple[str, datetime, datetime]]()
        for bucket in Buckets(self._database, self._active.ruleset.policy).of(None, None):
            zone = bucket.zone
            for door in self._doors:
                counts_days = any(isinstance(part, DaysSince | DaysUntil) for part in parts_of(door.clauses))
                if counts_days and local_day(before, zone) != local_day(now, zone):
                    return True
                edges.update(_edges(door, before, now, zone))
        with self._database.read() as connection:
            if consents.any_granted(connection, after=before, upto=now):
                return True  # who refused comes in once they no longer do
            return events.any_within(connection, sorted(edges))


def _edges(door: Doorway, before: datetime, now: datetime, zone: ZoneInfo) -> Iterator[tuple[str, datetime, datetime]]:
    """The event, and the stretch of time (end included) in which one of them came into a window or fell out of it."""
    for clause in door.clauses:
        for look in lookbacks(clause.condition):
            yield look.event, before, now
            if look.within is not None:
                yield look.event, window_start(before, look.within, zone), window_start(now, look.within, zone)
