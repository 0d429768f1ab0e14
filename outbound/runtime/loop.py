"""The event loop: uvloop where it is installed, else asyncio's own."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """Run ``work`` to its end on a new event loop."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - not on every platform
    except ImportError:
        new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]  # wider than uvloop's, and enough
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
