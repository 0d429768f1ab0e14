"""The daemon's scheduler on a clock that jumps (F43)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.job import Job
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from outbound.runtime import clock
from outbound.runtime.clock import JUMP_SECONDS, Every, watch_clock

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("previous", "after"),
    [
        (None, SECOND),
        (NOW, SECOND),
        (NOW - 0.4 * SECOND, 0.6 * SECOND),  # a late run does not move those after it
        (NOW - SECOND, SECOND),
        (datetime(1970, 1, 1, tzinfo=UTC), SECOND),
        (datetime(2039, 1, 1, tzinfo=UTC), SECOND),
    ],
)
def test_the_next_time_is_at_most_one_period_away(previous: datetime | None, after: timedelta) -> None:
    assert Every(1).get_next_fire_time(previous, NOW) == NOW + after


def test_f43_a_job_that_missed_half_a_century_runs_once_and_at_once() -> None:
    """APScheduler asks for every time that was missed: with its own trigger these are two thousand million."""

    async def main() -> list[datetime]:
        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.start(paused=True)
        job: Job = scheduler.add_job(print, Every(1), next_run_time=datetime(1970, 1, 1, tzinfo=UTC))
        missed: list[datetime] = job._get_run_times(NOW)
        scheduler.shutdown(wait=False)
        return missed

    assert asyncio.run(main()) == [datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(("moved", "jumps"), [(3600.0, 1), (-3600.0, 1), (-1.8e9, 1), (JUMP_SECONDS - 1, 0), (0.0, 0)])
def test_a_jump_is_told_once(monkeypatch: pytest.MonkeyPatch, moved: float, jumps: int) -> None:
    monkeypatch.setattr(clock, "_LOOK_SECONDS", 0.01)

    def wall_clock() -> Iterator[float]:
        yield 1.8e9
        while True:
            yield 1.8e9 + moved

    told: list[str] = []

    async def main() -> None:
        stopping = asyncio.Event()
        wall = wall_clock()
        watch = watch_clock(stopping, lambda: told.append("jump"), wall=lambda: next(wall), steady=lambda: 0.0)
        asyncio.get_running_loop().call_later(0.2, stopping.set)
        await watch

    asyncio.run(main())
    assert len(told) == jumps
