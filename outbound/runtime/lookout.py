"""The lookout of a daemon: what a customer waits for does not wait for the next tick."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from outbound.runtime.failures import Failures
from outbound.storage.arrivals import Arrivals, News
from outbound.storage.database import Database

_LOOK_SECONDS = 0.01
_AFTER_A_FAILURE_SECONDS = 1.0

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Lookout:
    """Looks a hundred times a second whether an event came in or an express message became due (``latency_idle``).

    ``plan`` shows events to the rules, ``hint`` wakes the express lane, ``expect`` makes the bulk lane
    give way before. Whoever wrote it may be another process.
    """

    def __init__(
        self,
        database: Database,
        *,
        plan: Callable[[], None],
        hint: Callable[[], None],
        expect: Callable[[], None],
        in_thread: InThread,
        failures: Failures,
    ) -> None:
        self._arrivals = Arrivals(database)
        self._plan, self._hint, self._expect = plan, hint, expect
        self._in_thread = in_thread
        self._failures = failures

    async def watch(self, stopping: asyncio.Event) -> None:
        """Look until ``stopping``. A database that is away is asked again a second later."""
        try:
            while not stopping.is_set():
                well = False
                with self._failures.logged("arrivals"):
                    await self._look()
                    well = True
                await asyncio.sleep(_LOOK_SECONDS if well else _AFTER_A_FAILURE_SECONDS)
        finally:
            self._arrivals.close()

    async def _look(self) -> None:
        if not self._arrivals.moved():
            return
        news: News = await self._in_thread(lambda: self._arrivals.news(now=datetime.now(UTC)))
        if news.events or news.express:
            self._expect()
        if news.events:
            await self._in_thread(self._plan)
        if news.events or news.express:
            self._hint()
