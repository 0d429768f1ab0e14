"""Hints inside one process: a lost or repeated one is harmless, because a tick gives them all again."""

import asyncio
from collections.abc import Collection

from sqlalchemy.engine import Connection

from outbound.domain.message import Lane
from outbound.storage.database import Database
from outbound.storage.hints import Give, Subject

EVENTS_CHANNEL = "outbound_events"
"""What PostgreSQL's NOTIFY calls on when an event is committed. It says nothing more."""
_TELL = f"NOTIFY {EVENTS_CHANNEL}"


class InProcessHints:
    """Wakes the worker of a lane. ``outbound.runtime.fleet`` brings those of other processes."""

    def __init__(self) -> None:
        self._events = {lane: asyncio.Event() for lane in Lane}

    def hint(self, lane: Lane) -> None:
        """Say that ``lane`` may have due messages."""
        self._events[lane].set()

    def hint_all(self) -> None:
        """Say so for every lane: what each tick does."""
        for event in self._events.values():
            event.set()

    async def wait(self, lane: Lane) -> None:
        """Wait for the next hint for ``lane``, and take it."""
        await self._events[lane].wait()
        self._events[lane].clear()


def carry(database: Database, *, without: Collection[Subject] = ()) -> Database:
    """Let what this process writes on PostgreSQL wake the workers, wherever they run. SQLite says so by itself.

    ``without`` are subjects that this process looks to on its own.
    """
    if not database.is_sqlite:
        database.give_hints = _give_when_wanted(frozenset(without))
    return database


def _give_when_wanted(without: frozenset[Subject]) -> Give:
    """PgQueuer takes a moment to load: only by whoever leaves a job."""
    given: list[Give] = []

    def give(connection: Connection, subjects: frozenset[Subject]) -> None:
        subjects -= without
        if Subject.EVENTS in subjects:
            tell(connection)
        jobs = subjects - {Subject.EVENTS}
        if not jobs:
            return
        if not given:
            from outbound.runtime.fleet import Giver  # noqa: PLC0415 - slow to load

            given.append(Giver())
        given[0](connection, jobs)

    return give


def tell(connection: Connection) -> None:
    """Tell every process that plans, with the commit, that there is an event (docs/adr/0016)."""
    connection.exec_driver_sql(_TELL)
