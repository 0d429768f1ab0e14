"""The course of a forecast: a virtual clock that stops wherever something is due, and the real service at each stop.

Schedules and dates are planned half an hour ahead, as the daemon does it, so that messages of the same hour compete
for a customer here as they will.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from outbound.services import planning
from outbound.services.dispatch.kit import Kit
from outbound.services.forecast.hands import Answer, accepted, dispatch
from outbound.services.forecast.looking import Segments
from outbound.services.planning.agenda import due_days, due_slots
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.upcoming import next_waiting
from outbound.services.planning.window import AHEAD, waits
from outbound.services.releases import Active
from outbound.storage.database import Database

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
"""Two stops of the clock are at least this far apart, so that a rule that is always due cannot stop it."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The time that is lived through, from ``start`` to ``until`` (both UTC, both included)."""

    start: datetime
    until: datetime


class Feed(Protocol):
    """What happens to customers meanwhile. A course asks for it and works nothing out itself."""

    def next_at(self) -> datetime | None:
        """When the next thing happens (UTC); None when nothing more does."""
        ...

    def bring(self, database: Database, now: datetime) -> None:
        """Write down what has happened by ``now``."""
        ...


def live(
    database: Database,
    kit: Kit,
    active: Active,
    stretch: Stretch,
    *,
    feeds: Iterable[Feed] = (),
    answer: Answer = accepted,
    step: timedelta = MINUTE,
    looks: timedelta = HOUR,
    moments: Sequence[datetime] | None = None,
    progress: Callable[[datetime], None] = lambda _: None,
) -> int:
    """Live through ``stretch`` in ``database``, which must be a scratch copy. Answers how often the clock stopped.

    ``looks`` is how often everybody is asked whether they came into a segment, which the daemon does every hour; left
    out are the looks between which time can have moved nobody.
    ``moments`` are the only stops, in order, where they are given: those at which a daemon is known to have looked.
    """
    feeds, agenda = tuple(feeds), _Agenda(database, active, stretch)
    segments = Segments(database, active, stretch.start, looks)
    now, stops = moments[0] if moments else stretch.start, 0
    while now <= stretch.until:
        for feed in feeds:
            feed.bring(database, now)
        looks_now = segments.look(now)
        if agenda.passed(now) or stops == 0 or looks_now or moments or _waits(database):
            planning.plan_due(database, active, now=now, keyring=kit.keyring)
        dispatch(database, kit, active, now=now, answer=answer)
        stops += 1
        progress(now)
        if moments is not None:
            if stops == len(moments):
                break
            now = moments[stops]
            continue
        upcoming = [
            *next_waiting(database, active, now=now),
            *segments.upcoming(),
            *agenda.upcoming(),
            *_next_of(feeds),
        ]
        if not upcoming:
            break
        now = max(min(upcoming), now + step)
    return stops


def _waits(database: Database) -> bool:
    """Whether planning has something to look at that is in no calendar."""
    with database.read() as connection:
        found = waits(connection)
    return found.events or found.changes or found.moves


def _next_of(feeds: Iterable[Feed]) -> list[datetime]:
    return [at for feed in feeds if (at := feed.next_at()) is not None]


class _Agenda:
    """When planning has to look at the calendar: half an hour before each slot, worked out a day at a time."""

    def __init__(self, database: Database, active: Active, stretch: Stretch) -> None:
        self._database, self._active, self._until = database, active, stretch.until + AHEAD
        self._known = stretch.start + AHEAD
        self._moments: list[datetime] = []

    def passed(self, now: datetime) -> bool:
        """Whether a moment has come since this was asked last."""
        left = [moment for moment in self._moments if moment > now]
        some = len(left) < len(self._moments)
        self._moments = left
        return some

    def upcoming(self) -> list[datetime]:
        """The next moment, if there is one."""
        while not self._moments and self._known < self._until:
            end = min(self._known + _DAY, self._until)
            buckets = Buckets(self._database, self._active.ruleset.policy)
            slots = due_slots(self._active, buckets, after=self._known, until=end)
            days = due_days(self._active, buckets, after=self._known, until=end)
            instants = [instant for due in slots for instant, _ in due.times]
            instants += [instant for due in days for instant, _ in due.times]
            self._moments = sorted({instant - AHEAD for instant in instants})
            self._known = end
        return self._moments[:1]
