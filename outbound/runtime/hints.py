"""Hints inside one process: a lost or repeated one is harmless, because a tick gives them all again."""

import asyncio

from outbound.domain.message import Lane


class InProcessHints:
    """Wakes the worker of a lane. Across machines PgQueuer takes this place (docs/adr)."""

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
