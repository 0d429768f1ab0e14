"""The courier of a daemon: posts news to other systems beside everything else."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from outbound.runtime.failures import Failures
from outbound.services.hooks import Courier

_LOOK_SECONDS = 1.0

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


async def post_news(courier: Courier, stopping: asyncio.Event, *, in_thread: InThread, failures: Failures) -> None:
    """Post until ``stopping``: at once while there is more, else every second. What is under way is finished.

    Each hook goes its own way: one that answers late keeps nobody else waiting.
    """
    try:
        async with asyncio.TaskGroup() as hooks:
            for one in courier.apart():
                hooks.create_task(_post(one, stopping, in_thread=in_thread, failures=failures))
    finally:
        await courier.close()


async def _post(courier: Courier, stopping: asyncio.Event, *, in_thread: InThread, failures: Failures) -> None:
    while not stopping.is_set():
        posted = 0
        with failures.logged("webhooks"):
            posted = await courier.once(lambda: datetime.now(UTC), in_thread)
        if not posted:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
