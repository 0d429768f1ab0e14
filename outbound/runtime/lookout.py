"""The lookout of a daemon: what a customer waits for does not wait for the next tick."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from outbound.runtime.failures import Failures
from outbound.storage.arrivals import Arrivals, News
from outbound.storage.database import Database

_LOOK_SECONDS = 0.01
_AFTER_A_FAILURE_SECONDS = 1.0
_AWAKE_SECONDS = 1.0
"""After a hint or news it looks this long. More than ``fleet.QUIET_SECONDS``, in which no other hint is given."""

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Lookout:
    """Looks a hundred times a second whether an event came in or an express message became due (``latency_idle``).

    On SQLite, where looking costs nothing, always; on PostgreSQL for a second after each ``wake``, so that an idle
    fleet leaves the database alone, and events are planned when it is told of them (``tell``), unasked. ``plan`` shows
    events to the rules (None: events are another process's work), ``hint`` wakes the express lane, ``expect`` makes the
    bulk lane give way before. Whoever wrote it may be another process.
    """

    def __init__(
        self,
        database: Database,
        *,
        plan: Callable[[], None] | None,
        hint: Callable[[], None],
        expect: Callable[[], None],
        in_thread: InThread,
        failures: Failures,
    ) -> None:
        self._arrivals = Arrivals(database)
        self._always = database.is_sqlite
        self._woken = asyncio.Event()
        self._told = False
        self._awake_until = 0.0
        self._plan, self._hint, self._expect = plan, hint, expect
        self._in_thread = in_thread
        self._failures = failures

    def wake(self) -> None:
        """There may be something, or it is time to stop."""
        self._awake_until = time.monotonic() + _AWAKE_SECONDS
        self._woken.set()

    def tell(self) -> None:
        """An event was committed."""
        self._told = True
        self._woken.set()

    async def watch(self, stopping: asyncio.Event) -> None:
        """Look until ``stopping`` (and a ``wake`` after it). A database that is away is asked again a second later."""
        try:
            while not stopping.is_set():
                await self._sleep()
                well = False
                with self._failures.logged("arrivals"):
                    await self._look()
                    well = True
                if not well:
                    await asyncio.sleep(_AFTER_A_FAILURE_SECONDS)
        finally:
            self._arrivals.close()

    async def _sleep(self) -> None:
        """A moment while it is awake, else until somebody wakes it or tells it something."""
        if self._always:
            await asyncio.sleep(_LOOK_SECONDS)
            return
        awake = time.monotonic() < self._awake_until
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _LOOK_SECONDS if awake else None)
        self._woken.clear()

    async def _look(self) -> None:
        told, self._told = self._told, False
        if told:
            news = News(events=True)
        elif self._arrivals.moved():
            news = await self._in_thread(lambda: self._arrivals.news(now=datetime.now(UTC)))
            if news != News():
                self._awake_until = time.monotonic() + _AWAKE_SECONDS
        else:
            return
        plan = self._plan if news.events else None
        if plan is None and not news.express:
            return
        self._expect()
        if plan is not None:
            await self._in_thread(plan)
        self._hint()
