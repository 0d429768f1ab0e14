"""The workers of one `outbound run --workers N`: started again when they die, ended with it, drained by its signal."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_daemon_ends import planned, promises_hold, recipients
from trial_shop import Running, Shop, make_shop, until

from outbound.runtime.crew import until_parent_ends
from outbound.storage import overview
from outbound.storage.database import Database
from outbound.testing.postgres import empty_database
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


@pytest.fixture
def fleet_shop(postgres_server: str, tmp_path: Path) -> Iterator[Shop]:
    """A workspace on PostgreSQL."""
    with empty_database(postgres_server) as url:
        yield make_shop(tmp_path / "shop", database_url=url)


@pytest.mark.kill
def test_workers_share_the_work_are_started_again_and_drain_with_their_parent(
    fleet_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """F03, F05, F17: a worker is killed while it sends, and its parent starts another; SIGTERM drains both."""
    shop = fleet_shop
    smtp.set_modes("sent=delay 0.3")
    everybody = planned(shop, smtp, twilio, 400, more="[dispatch]\nslice = 20\n")
    with shop.database() as database, shop.start("run", "--no-http", "--workers", "2") as daemon:

        def workers() -> list[int]:
            return [int(line["pid"]) for line in daemon.lines() if line["event"] == "worker started"]

        def everyone_holds(count: int) -> bool:
            with database.read() as connection:
                there = overview.daemons(connection)
            return sum(one.holds > 0 and (one.role == "run" or one.pid == workers()[-1]) for one in there) == count

        until(lambda: workers() and everyone_holds(2), "both to hold messages")
        os.kill(workers()[0], signal.SIGKILL)
        daemon.event("worker ended by itself")
        until(lambda: len(workers()) == 2 and everyone_holds(2), "another worker to hold messages")
        assert daemon.stop() == 0, daemon.err
        stopped = [line for line in daemon.lines() if line["event"] == "daemon stopped"]
        assert [line["finished"] for line in stopped] == [True, True]
        with database.read() as connection:
            [lost] = overview.daemons(connection)
        assert (lost.pid, lost.role, lost.holds > 0) == (workers()[0], "worker", True), (
            "the others said that they ended"
        )
    assert set(recipients(smtp)) <= set(everybody)
    promises_hold(shop, smtp)


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_a_fleet_is_restarted_one_by_one_hears_receipts_first_and_pauses_together(
    fleet_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """Three processes: a rolling restart loses and doubles nothing; a pause stops all of them within a second."""
    shop = fleet_shop
    smtp.set_modes("sent=delay 0.3")
    everybody = planned(shop, smtp, twilio, 900, more="[dispatch]\nslice = 20\n")
    words = (("run", "--no-http"), ("worker",), ("worker",))
    with shop.database() as database, contextlib.ExitStack() as stack:

        def start(role: tuple[str, ...]) -> Running:
            fresh = stack.enter_context(shop.start(*role))
            until(lambda: holds_of(database, fresh.child.pid), f"{role[0]} to hold messages")
            return fresh

        fleet = [start(role) for role in words]
        shop.run("event", "order.placed", "c000", "--data", "order_id=A1")
        until(lambda: receipts(smtp), "the receipt", 10)
        assert shop.states()["ready"] > 0, "the letters were over: this proved nothing"
        for number, role in enumerate(words):
            assert fleet[number].stop() == 0, fleet[number].err
            fleet[number] = start(role)
        smtp.set_modes()
        until(lambda: shop.states() == {"sent": len(everybody) + 1}, "everybody's letter", 90)
        assert sorted(recipients(smtp)) == sorted([*everybody, everybody[0]]), "each once, and one receipt"
        smtp.set_modes("sent=delay 0.3")
        shop.run("send", "letter", "--key", "second", "--customers", str(shop.folder / "recipients.csv"))
        before = len(smtp.accepted())
        until(lambda: len(smtp.accepted()) >= before + 60, "letters of the second run")
        shop.run("pause", "all", "--reason", "wrong price")
        time.sleep(1.0)
        then = len(smtp.accepted())
        time.sleep(1.5)
        assert len(smtp.accepted()) == then < before + len(everybody)
        for one in fleet:
            assert one.stop() == 0, one.err
    promises_hold(shop, smtp)


def holds_of(database: Database, pid: int) -> int:
    """How many messages a process holds now."""
    with database.read() as connection:
        return sum(one.holds for one in overview.daemons(connection) if one.pid == pid)


def receipts(smtp: SmtpServer) -> int:
    """How many receipts were accepted."""
    return sum(one.facts.get("sender", "").startswith("orders@") for one in smtp.accepted())


def test_a_worker_stops_when_its_parent_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe to its standard input closes with the parent, whatever ends that. A word on it means nothing."""
    ours, theirs = os.pipe()

    async def main() -> None:
        stopping = asyncio.Event()
        watching = asyncio.create_task(until_parent_ends(stopping))
        os.write(theirs, b"x")
        await asyncio.sleep(0)
        assert not stopping.is_set()
        os.close(theirs)
        async with asyncio.timeout(10):
            await watching
        assert stopping.is_set()

    with os.fdopen(ours) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        asyncio.run(main())
