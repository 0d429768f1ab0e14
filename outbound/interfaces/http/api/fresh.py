"""Values that every request needs and no request should query: read again once they are a second old."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

T = TypeVar("T")

_FRESH_SECONDS = 1.0
_USABLE_SECONDS = 5.0


class Fresh(Generic[T]):
    """A value and how to read it. One reads while the others go on with what was true a second ago.

    A value that cannot be read again for five seconds is worth nothing: whoever asks then waits, and fails.
    """

    def __init__(self, read: Callable[[], T], threads: Executor) -> None:
        self._read = read
        self._threads = threads
        self._value: tuple[T, float] | None = None
        self._reading: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value. Raises what reading it raises."""
        known, now = self._value, time.monotonic()
        if known is not None and now - known[1] < _FRESH_SECONDS:
            return known[0]
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_again(), name="outbound-fresh")
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        if known is not None and now - known[1] < _USABLE_SECONDS:
            return known[0]
        return await asyncio.shield(self._reading)

    async def _read_again(self) -> T:
        begun = time.monotonic()
        value = await asyncio.get_running_loop().run_in_executor(self._threads, self._read)
        self._value = (value, begun)
        return value
