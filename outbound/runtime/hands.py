"""One lane's work: slice after slice, and past the slices that stand still."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Moved = Callable[[], None]

STILL_SECONDS = 2.0
EXPRESS_STILL_SECONDS = 0.1
"""Who waits for one person's message does not wait for another's slow server either."""


class Hand:
    """Starts the slices of one lane. Each is waited for, unless nothing has moved in it for ``still`` seconds.

    A provider that is silent for ten minutes then keeps its own messages waiting and nobody else's. ``work`` takes
    one slice, calls what it is given whenever something moves, and answers how many messages it claimed. ``most``
    slices run at once: one more than there are deliveries that can be in flight is enough, because a slice that
    stands still has at least one of them.
    """

    def __init__(self, work: Callable[[Moved], Awaitable[int]], *, most: int, still: float = STILL_SECONDS) -> None:
        self._work = work
        self._still = still
        self._most = most
        self._slices: set[asyncio.Task[int]] = set()

    async def more(self) -> bool:
        """Take one more slice to its end, or until it stands still. False: nothing was due."""
        if len(self._slices) >= self._most:
            await asyncio.wait(self._slices, return_when=asyncio.FIRST_COMPLETED)
        last = time.monotonic()

        def moved() -> None:
            nonlocal last
            last = time.monotonic()

        async def work() -> int:
            return await self._work(moved)

        slice_ = asyncio.create_task(work(), name="slice")
        self._slices.add(slice_)
        slice_.add_done_callback(self._slices.discard)
        while not slice_.done():
            left = last + self._still - time.monotonic()
            if left <= 0:
                return True
            await asyncio.wait({slice_}, timeout=left)
        return slice_.result() > 0

    async def finish(self) -> None:
        """Wait for the slices that still run."""
        if self._slices:
            await asyncio.wait(self._slices)

    async def drop(self) -> None:
        """Cancel the slices that still run, and wait until they have let go."""
        running = list(self._slices)
        for slice_ in running:
            slice_.cancel()
        await asyncio.gather(*running, return_exceptions=True)
