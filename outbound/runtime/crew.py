"""The workers of ``outbound run --workers N``: processes that it starts, starts again and ends with itself."""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import structlog

log = structlog.get_logger("outbound.daemon")

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LONG_LIFE = 60.0
"""A worker that lived so long is started again at once."""


class Crew:
    """``count`` workers on ``workspace``. They have ``drain`` seconds to finish what is in flight.

    Their standard input is a pipe that nobody writes to: they drain when it closes, also when we are killed.
    """

    def __init__(self, workspace: Path, count: int, *, drain: float) -> None:
        self._workspace, self._count, self._drain = workspace, count, drain

    async def keep(self, stopping: asyncio.Event) -> None:
        """Keep them alive until ``stopping``, then wait until they have drained. Cancelled, they are hurried."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._keep_one(stopping), name="worker")

    async def _keep_one(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        while not stopping.is_set():
            began = loop.time()
            child = await self._start()
            try:
                await _either(child, stopping)
                if child.returncode is None:
                    await self._end(child)
                    return
            finally:
                if child.returncode is None:
                    child.terminate()
            log.warning("worker ended by itself", pid=child.pid, status=child.returncode)
            wait = _FIRST_WAIT if loop.time() - began > _LONG_LIFE else min(wait * 2, _LONGEST_WAIT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait)

    async def _start(self) -> Process:
        command = (sys.executable, "-m", "outbound", "-w", str(self._workspace), "worker", "--with-parent")
        child = await asyncio.create_subprocess_exec(*command, stdin=PIPE)
        log.info("worker started", pid=child.pid)
        return child

    async def _end(self, child: Process) -> None:
        if child.stdin is not None:
            child.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), self._drain)


async def until_parent_ends(stopping: asyncio.Event) -> None:
    """Set ``stopping`` when standard input closes: whoever started this worker wants it to end, or is gone."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        if not os.read(descriptor, 1):
            stopping.set()

    loop.add_reader(descriptor, readable)
    try:
        await stopping.wait()
    finally:
        loop.remove_reader(descriptor)


async def _either(child: Process, stopping: asyncio.Event) -> None:
    """Wait for the end of the child or for ``stopping``."""
    waits = {asyncio.create_task(child.wait()), asyncio.create_task(stopping.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
