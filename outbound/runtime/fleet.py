"""Hints between processes: PgQueuer jobs on PostgreSQL, written in the transaction of the rows they are about.

A job carries a subject (``storage.hints``) and nothing else. One process takes it and looks; what it does not get to,
the others find at their next tick. Events are told without a job (``hints.tell``), to every process that plans.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, cast

import psycopg
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.queries import Queries, SyncQueries
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.models import Job
from psycopg import RawCursor
from psycopg.rows import dict_row
from sqlalchemy.engine import Connection

from outbound.runtime.failures import Failures
from outbound.runtime.hints import EVENTS_CHANNEL
from outbound.storage.database import Database
from outbound.storage.hints import Subject

QUIET_SECONDS = 0.5
"""A process gives a hint on one subject no more often: whoever took the last one looks for longer than that."""

_PRIORITIES = {Subject.EXPRESS: 1, Subject.BULK: 0}
_POLL = timedelta(seconds=5)
_DEAD = timedelta(seconds=10)
"""A hint that a process took and did not finish is taken by another after this."""
_AGAIN_SECONDS = 2.0
_ENOUGH = 10
_LETTING_GO_SECONDS = 2.0
_CONNECTION: Mapping[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "outbound hints",
}
"""A cut network is noticed within about ten seconds."""


class Giver:
    """Gives the hints of one process. A hint whose transaction is rolled back costs the next ones up to a tick."""

    def __init__(self) -> None:
        self._last: dict[Subject, float] = {}

    def __call__(self, connection: Connection, subjects: frozenset[Subject]) -> None:
        """Write the hints into the transaction of ``connection``, unless there has just been one."""
        now = time.monotonic()
        fresh = [one for one in sorted(subjects) if now - self._last.get(one, -QUIET_SECONDS) >= QUIET_SECONDS]
        if not fresh:
            return
        queries = SyncQueries(_InTransaction(connection))
        queries.enqueue([str(one) for one in fresh], [None] * len(fresh), [_PRIORITIES[one] for one in fresh])
        self._last.update(dict.fromkeys(fresh, now))


class Line:
    """Where one process hears hints. ``heard`` says what to do about each subject; it must not block."""

    def __init__(self, database: Database, heard: Mapping[Subject, Callable[[], None]], failures: Failures) -> None:
        self._database = database
        self._heard = heard
        self._failures = failures

    async def listen(self, stopping: asyncio.Event) -> None:
        """Hear until ``stopping``. A line that breaks is opened again; meanwhile every tick looks."""
        while not stopping.is_set():
            with self._failures.logged("hints"):
                await self._hear(stopping)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _AGAIN_SECONDS)

    async def tidy(self) -> None:
        """Take out what PgQueuer notes of every hint it has passed on."""
        async with await self._connect() as connection:
            await Queries(PsycopgDriver(connection)).clear_queue_log([str(one) for one in Subject])

    async def _hear(self, stopping: asyncio.Event) -> None:
        async with await self._connect() as listening, await self._connect() as asking:
            driver = _TwoConnections(listening, asking)
            queue = QueueManager(Queries(driver))
            await driver.add_listener(queue.channel, _nothing)  # before PgQueuer's first probe of the line
            for subject, look in self._heard.items():
                if subject is Subject.EVENTS:
                    await driver.add_listener(EVENTS_CHANNEL, _listener(look))
                else:
                    queue.entrypoint(str(subject))(_handler(look))
            running = asyncio.create_task(
                queue.run(
                    dequeue_timeout=_POLL,
                    batch_size=_ENOUGH,
                    heartbeat_timeout=_DEAD,
                    shutdown_on_listener_failure=True,
                    log_aggregation_interval=timedelta(),
                )
            )
            stopped = asyncio.create_task(stopping.wait())
            try:
                await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
                queue.shutdown.set()
                await asyncio.wait({running}, timeout=_LETTING_GO_SECONDS)
            finally:
                stopped.cancel()
                running.cancel()
            if running.done():
                running.result()

    async def _connect(self) -> psycopg.AsyncConnection:
        _, options = self._database.engine.dialect.create_connect_args(self._database.url)
        return await psycopg.AsyncConnection.connect(autocommit=True, **{**options, **_CONNECTION})


class _TwoConnections(PsycopgDriver):
    """One connection to listen on and one to ask on: PgQueuer's own driver would ask when listening pauses."""

    def __init__(self, listening: psycopg.AsyncConnection, asking: psycopg.AsyncConnection) -> None:
        super().__init__(listening)
        self._asking = PsycopgDriver(asking)

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await self._asking.fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        return await self._asking.execute(query, *args)


class _InTransaction:
    """PgQueuer's port for writing, over a connection of ours that is in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        cursor = RawCursor(cast("Any", self._connection.connection.driver_connection), row_factory=dict_row)
        cursor.execute(query, args or None)
        return cursor.fetchall()


def _nothing(_payload: str | bytes | bytearray) -> None:
    """What is heard before anybody can make sense of it."""


def _listener(look: Callable[[], None]) -> Callable[[str | bytes | bytearray], None]:
    def listener(_payload: str | bytes | bytearray) -> None:
        look()

    return listener


def _handler(look: Callable[[], None]) -> Callable[[Job], Awaitable[None]]:
    async def handle(_job: Job) -> None:
        look()

    return handle
