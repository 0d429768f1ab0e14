"""The database goes away in the middle of sends: nothing is lost or doubled, the daemons come back."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outbound.testing.soak.end import drain, verdict
from outbound.testing.soak.troubles import let_leases_end
from outbound.testing.soak.work import Work
from outbound.testing.soak.world import World, build


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[World, Work]]:
    """Two daemons on PostgreSQL in the middle of sending some hundred messages, slowly."""
    with build(tmp_path, kind="postgresql", minutes=1) as world:
        if world.server is None:
            pytest.skip("a PostgreSQL that was given is not restarted")
        work = Work(world, random.Random(7))  # noqa: S311 - a fixed mix
        work.first()
        for _ in range(12):
            work._import_orders()
        world.smtp.set_modes("sent=delay 0.15")
        for daemon in world.daemons:
            daemon.start()
        world.wait_until_serving()
        _until(lambda: len(world.smtp.accepted()) > 10, "the first mails")
        yield world, work


@pytest.mark.timeout(180)
def test_the_database_restarts_in_the_middle_of_sends(busy: tuple[World, Work]) -> None:
    """F38: as after a crash, twice."""
    world, work = busy
    for _ in range(2):
        assert world.server is not None
        world.server.restart()
        _goes_on(world)
    _all_is_well(world, work)


@pytest.mark.timeout(180)
def test_answers_of_commits_are_lost_in_the_middle_of_sends(busy: tuple[World, Work]) -> None:
    """F39: the connection dies after COMMIT was sent: of claims, gates, handovers and results, as they come."""
    world, work = busy
    for _ in range(6):
        world.proxies["database"].lose_answer(b"COMMIT", times=2)
        time.sleep(0.5)
    _goes_on(world)
    _all_is_well(world, work)


def _goes_on(world: World) -> None:
    """The same processes send again."""
    before, pids = len(world.smtp.accepted()), [daemon.pid for daemon in world.daemons]
    _until(lambda: len(world.smtp.accepted()) > before, "mails after the cut")
    assert [daemon.pid for daemon in world.daemons if daemon.running] == pids, "a daemon ended"


def _all_is_well(world: World, work: Work) -> None:
    world.heal()
    for daemon in world.daemons:
        daemon.kill()
    let_leases_end(world)
    assert drain(world) == []
    for daemon in world.daemons:
        daemon.stop()
    found, sums = verdict(world, work.diary)
    assert found == []
    assert sums.states["sent"] > 150


def _until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)
