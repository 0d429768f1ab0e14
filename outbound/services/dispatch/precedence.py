"""Express before bulk inside one worker: the next step of a bulk run waits while express messages are on their way."""

import asyncio
import contextlib
import time

from outbound.domain.message import Lane

_LONGEST = 0.25
"""Seconds that express messages may keep the bulk lane waiting at a stretch: their provider may be slow."""


class Precedence:
    """One per worker. After each stretch the bulk lane has as long for itself, however much express work there is."""

    def __init__(self) -> None:
        self._began = 0.0
        self._until = 0.0
        self._rest_until = 0.0
        self._over = asyncio.Event()

    def claim(self) -> None:
        """Express messages are about to come, or on their way."""
        now = time.monotonic()
        if not self._until and now >= self._rest_until:
            self._began, self._until = now, now + _LONGEST
            self._over.clear()

    def end(self) -> None:
        """They have left."""
        if self._until:
            now = min(time.monotonic(), self._until)
            self._rest_until = now + (now - self._began)
            self._until = 0.0
            self._over.set()

    async def give_way(self, lane: Lane) -> None:
        """Let express messages go first, if ``lane`` is not their own."""
        if lane is not Lane.BULK or not self._until:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), max(self._until - time.monotonic(), 0))
            return
        self.end()
