"""The scheduler counts on the wall clock, which jumps: set by hand, by NTP after a start in 1970, by sleep (F43)."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.triggers.base import BaseTrigger

log = structlog.get_logger("outbound.daemon")

JUMP_SECONDS = 5.0
"""Less is a clock that is being corrected, and costs a job no more than that."""
_LOOK_SECONDS = 1.0


class Every(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires every ``seconds``. What was missed counts as one.

    APScheduler's own interval goes through every period that was missed, one by one and into a list: a clock that
    jumps from 1970 to today would hold the daemon up for minutes and take gigabytes.
    """

    def __init__(self, seconds: float) -> None:
        self._interval = timedelta(seconds=seconds)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next time after ``now``, never more than one period away."""
        following = (previous_fire_time or now) + self._interval
        return following if now < following <= now + self._interval else now + self._interval


async def watch_clock(
    stopping: asyncio.Event,
    jumped: Callable[[], None],
    *,
    wall: Callable[[], float] = time.time,
    steady: Callable[[], float] = time.monotonic,
) -> None:
    """Call ``jumped`` whenever the wall clock has moved ``JUMP_SECONDS`` against the steady one, until ``stopping``.

    ``wall`` and ``steady`` answer seconds.
    """
    apart = wall() - steady()
    while not stopping.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)
        moved = wall() - steady() - apart
        if abs(moved) >= JUMP_SECONDS:
            apart += moved
            log.warning("the clock jumped", seconds=round(moved), now=datetime.fromtimestamp(wall(), UTC).isoformat())
            jumped()
