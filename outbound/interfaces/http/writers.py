"""Few requests write at once: while they wait for a lock, pages and monitors go on being answered."""

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

import anyio
from anyio import to_thread

P = ParamSpec("P")
T = TypeVar("T")

WRITERS: Final = 6
"""Threads and connections that may wait for the lock; the pool holds more connections, and the server more threads."""


class Writers:
    """The writers of one application. Who comes while all are at work waits without a thread or a connection."""

    def __init__(self) -> None:
        self._few = anyio.CapacityLimiter(WRITERS)

    def write(self, work: Callable[P, T]) -> Callable[P, Awaitable[T]]:
        """A route that writes, from the function that does so in a thread."""

        @wraps(work)
        async def answer(*given: P.args, **named: P.kwargs) -> T:
            return await to_thread.run_sync(partial(work, *given, **named), limiter=self._few)

        return answer
