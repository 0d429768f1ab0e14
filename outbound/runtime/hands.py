"""One lane's work: slice after slice, and past the slices that stand still."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_STILL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Signs:
    """What a slice says while it works: something ``moved``; all that it claimed has ``left`` and is waited for."""

    moved: Callable[[], None]
    left: Callable[[], None]


class Hand:
    """Starts the slices of one lane. Each is waited for until all of it has left, or nothing moved for two seconds.

    A provider that is silent for ten minutes then keeps its own messages waiting and nobody else's. ``work`` takes
    one slice, gives the signs that it is given, and answers how many messages it claimed. ``most``
    slices run at once: one more than there are deliveries that can be in flight is enough, because a slice that
    stands still has at least one of them.
    """

    def __init__(self, work: Callable[[Signs], Awaitable[int]], *, most: int) -> None:
        self._work = work
        self._most = most
        self._slices: set[asyncio.Task[int]] = set()

    async def more(self) -> bool:
        """Take one more slice until all of it has left, or until it stands still. False: nothing was due."""
        if len(self._slices) >= self._most:
            await asyncio.wait(self._slices, return_when=asyncio.FIRST_COMPLETED)
        last = time.monotonic()
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def moved() -> None:
            nonlocal last
            last = time.monotonic()

        def leave() -> None:
            if not left.done():
                left.set_result(None)

        async def work() -> int:
            return await self._work(Signs(moved=moved, left=leave))

        slice_ = asyncio.create_task(work(), name="slice")
        self._slices.add(slice_)
        slice_.add_done_callback(self._slices.discard)
        either: set[asyncio.Future[Any]] = {slice_, left}
        while not slice_.done():
            patience = last + _STILL_SECONDS - time.monotonic()
            if left.done() or patience <= 0:
                return True
            await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
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
