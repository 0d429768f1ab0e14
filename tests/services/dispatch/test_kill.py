"""Kill -9 anywhere: nobody gets a message twice, nothing is lost, and the sums balance (fault F01, the issue's bar)."""

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from caps_world import DAILY, capped, count_runs, put, row, told
from dispatch_world import NOW, add_customers, names, queue

from outbound.services.reports import equation
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing import kill_points
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

LONGEST = 0.3
"""Seconds a dispatcher lives at most before it is killed."""
DRIVER = Path(__file__).with_name("kill_driver.py")


class Driver:
    """Starts and kills dispatchers (see ``kill_driver``)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def live(self, database: Database, port: int, **more: Any) -> int:
        """One life of a dispatcher; its exit code."""
        url = database.url.render_as_string(hide_password=False)
        shape = {"connections": 10, "slice": 60, "chunk": 20, "point": "", "after": None, "capped": False}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"database": url, "port": port, **shape, **more}).encode() + b"\n")
        self._process.stdin.flush()
        answer: int = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    """One driver for all tests here."""
    driver = Driver()
    yield driver
    driver.close()


def states(database: Database) -> Counter[str]:
    with database.read() as connection:
        return Counter(connection.execute(sa.select(tables.message.c.state)).scalars())


@pytest.mark.kill
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("point", "lane"),
    [
        *((point, "express") for point in kill_points.NAMES),
        *((point, "bulk") for point in ("handoff.open", "handoff.done", "reply.done", "record.done")),
    ],
)
def test_a_kill_at_a_named_point_separates_unsent_from_unknown(
    database: Database, driver: Driver, tmp_path: Path, point: str, lane: str
) -> None:
    """F01, K9: provably unsent → sent once after the restart; maybe sent → uncertain, never sent again."""
    customers = names(8)
    # Bulk handovers are marked in groups ahead of their turn: that is how many a crash may leave unknown.
    rule, ahead = ("receipt", 1) if lane == "express" else ("news", len(customers))
    add_customers(database, customers)
    queue(database, rule, customers)
    with SmtpServer(tmp_path, keep=False) as server:
        shape = {"connections": 1, "chunk": 8}
        assert driver.live(database, server.port, point=point, **shape) == -9, f"nothing ever passed {point}"
        accepted_before = server.accepted()
        assert driver.live(database, server.port, **shape) == 0
        accepted = server.accepted()
    assert check(database, accepted) == ()
    assert max(Counter(a.recipient for a in accepted).values()) == 1
    found = states(database)
    assert found["uncertain"] + found["sent"] == len(customers)
    if point in kill_points.MAYBE_SENT:
        assert 1 <= found["uncertain"] <= ahead
    elif point in kill_points.PROVABLY_UNSENT or lane == "express":
        assert found["sent"] == len(accepted) == len(customers)
    if point in kill_points.PROVABLY_UNSENT:
        assert accepted_before == []
    with database.read() as connection:
        assert equation(connection, None, now=NOW).unfinished == 0


@pytest.mark.kill
@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", kill_points.NAMES)
def test_a_kill_at_a_named_point_overruns_no_cap(
    database: Database, driver: Driver, tmp_path: Path, point: str
) -> None:
    """F01, C32: whose first message may have arrived gets no second one that day, whatever the record had reached."""
    customers = names(4)
    add_customers(database, customers)
    put(database, *(row(rule, customer) for customer in customers for rule in ("news", "gift")))
    count_runs(database)
    with SmtpServer(tmp_path, keep=False) as server:
        shape = {"connections": 1, "chunk": 3, "capped": True}
        assert driver.live(database, server.port, point=point, **shape) == -9, f"nothing ever passed {point}"
        assert driver.live(database, server.port, **shape) == 0
        accepted = server.accepted()
    assert check(database, accepted, policy=capped(DAILY).policy) == ()
    assert max(Counter(a.recipient for a in accepted).values()) == 1
    found = told(database)
    assert {found["news", customer] for customer in customers} == {"scheduled cap marketing.day"}
    assert {found["gift", customer].split()[0] for customer in customers} <= {"sent", "uncertain"}


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_a_hundred_kills_send_nobody_two_copies(database: Database, driver: Driver, tmp_path: Path) -> None:
    """The bar: kill -9 at 100 random moments of a run (25 on PostgreSQL), restart: no two copies, sums hold."""
    kills, size = (100, 6000) if database.is_sqlite else (25, 2500)
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    customers = names(size)
    add_customers(database, customers)
    urgent = customers[::10]
    queue(database, "receipt", urgent)
    queue(database, "news", [c for c in customers if c not in set(urgent)], skipped=7)
    with SmtpServer(tmp_path, keep=False) as server:
        lived, longest = 0.0, LONGEST
        for number in range(kills):
            after = dice.uniform(0, longest)
            lived += after
            assert driver.live(database, server.port, after=after) == -9, f"the work ran out after {number} kills"
            # A fast machine must not finish early: each life may take its share of what is left, and no more.
            found = states(database)
            left = found["ready"] + found["claimed"]  # not what a kill made uncertain: nobody sends that
            rate = max(size - left, 1) / lived
            longest = min(LONGEST, left / max(kills - number - 1, 1) / rate)
        assert driver.live(database, server.port) == 0
        accepted = server.accepted()
    assert check(database, accepted) == ()
    assert max(Counter(a.recipient for a in accepted).values()) == 1, "somebody has two copies"
    with database.read() as connection:
        total = equation(connection, None, now=NOW)
        tries = connection.execute(sa.select(sa.func.sum(tables.message.c.lease_token))).scalar_one()
    assert total.holds
    assert total.unfinished == 0
    assert total.candidates == size + 7
    assert set(total.states) <= {"sent", "uncertain"}
    assert total.states["sent"] <= len(accepted) <= size
    assert tries > size, "no kill ever met a claimed message: the test proved nothing"
