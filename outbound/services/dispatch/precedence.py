"""Express before bulk inside one worker: the next step of a bulk run waits while express messages are on their way."""

import asyncio
import contextlib
import time

from outbound.domain.message import Lane

_EXPRESS_SECONDS = 0.25
"""How long one express slice may keep the bulk lane waiting: its provider may be slow, and the others are not."""


class Precedence:
    """One per worker. Nobody waits longer than a quarter of a second for one step, whatever comes in meanwhile."""

    def __init__(self) -> None:
        self._until = 0.0
        self._clear = asyncio.Event()

    def claim(self) -> None:
        """Express messages are about to come, or on their way."""
        self._until = time.monotonic() + _EXPRESS_SECONDS
        self._clear.clear()

    def end(self) -> None:
        """They have left."""
        self._until = 0.0
        self._clear.set()

    async def give_way(self, lane: Lane) -> None:
        """Let express messages go first, if ``lane`` is not their own."""
        if lane is Lane.BULK and (seconds := self._until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._clear.wait(), seconds)
