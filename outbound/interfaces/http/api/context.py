"""What the API works with: its own connections and threads, so that it and the daemon never starve each other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import Request

from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.api.fresh import Fresh
from outbound.services import api_keys, declared
from outbound.services.declared import Declared
from outbound.services.event_intake import EventIntake
from outbound.storage.database import Database

T = TypeVar("T")

THREADS = 8
"""Transactions at once; the pool of the API's database holds more connections than that."""
_MOST_WAITING = 200
WAIT_SECONDS = 5.0
"""How long a request waits for a lock before it is told to come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``rate`` is requests per second of one key in this process, None for any number; sizes are in bytes."""

    rate: float | None = None
    body: int = 256 * 1024
    bulk: int = 64 * 1024 * 1024


class Api:
    """One process's API. ``database`` should be opened for it alone, with ``wait=WAIT_SECONDS``."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        *,
        limits: Limits = Limits(),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.database = database
        self.keyring = keyring
        self.limits = limits
        self.now = now
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="outbound-api")
        self._waiting = 0
        self.keys = Fresh(lambda: api_keys.by_prefix(database), self._threads)
        self._declared = Fresh(declared.Reader(database).read, self._threads)
        self.intake = EventIntake(database, self._threads)

    async def run(self, work: Callable[[], T]) -> T:
        """Do what blocks in a thread. Raises OutboundError ``api.busy`` when too many wait for one."""
        if self._waiting >= _MOST_WAITING:
            raise OutboundError("api.busy", "too many requests wait for the record", "try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    async def declared(self) -> Declared:
        """What the running release declares, as of a second ago. Raises OutboundError ``release.none``."""
        found = await self._declared.get()
        if found is None:
            raise OutboundError("release.none", "no release is active", "run `outbound apply`")
        return found

    def close(self) -> None:
        """End its threads and connections."""
        self._threads.shutdown(wait=True)
        self.database.close()


def api_of(request: Request) -> Api:
    """The API that this request came to."""
    api: Api = request.app.state.api
    return api
