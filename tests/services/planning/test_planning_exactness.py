"""However planning is interrupted or doubled, everybody is decided once and the sums hold (F02, F05, F15)."""

import subprocess
import sys
import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from planning_kit import (
    NEWSLETTER,
    add_customer,
    add_event,
    balance,
    messages,
    plan,
    publish,
    rows,
    rule_files,
    utc,
)

from outbound.services.planning import firing
from outbound.services.releases import Active
from outbound.storage import runs, tables
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
SUNDAY = utc("2026-01-04 08:45")
PEOPLE = 23
RECEIPT = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
send: {template: order, channels: [email]}
"""


@pytest.fixture
def active(database: Database, monkeypatch: pytest.MonkeyPatch) -> Active:
    """A newsletter, 23 people of whom every fifth has no consent, and key ranges of five."""
    monkeypatch.setattr(firing, "RANGE", 5)
    active = publish(database, rule_files(NEWSLETTER, RECEIPT), BEFORE)
    for number in range(PEOPLE):
        add_customer(database, f"c{number:02}", consent=number % 5 != 0)
    return active


@pytest.mark.parametrize("failing", range(1, 6))
def test_planning_interrupted_in_any_key_range_builds_only_the_missing_tail(
    database: Database, active: Active, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Fault F02: a failure inside range N leaves ranges 1 to N-1; the next pass adds the rest, each row once."""
    real, calls = runs.add_counts, []

    def fail(*arguments: object, **values: object) -> None:
        calls.append(1)
        if len(calls) == failing:
            raise RuntimeError("power cut")
        real(*arguments, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "add_counts", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        plan(database, active, SUNDAY)
    first = {row.id for row in rows(database, tables.message)}
    assert [row.candidates for row in rows(database, tables.run)] == ([5 * (failing - 1)] if failing > 1 else [])
    assert rows(database, tables.firing) == []
    plan(database, active, SUNDAY)
    assert first <= {row.id for row in rows(database, tables.message)}
    assert list(balance(database)) == [(PEOPLE, 5, 18)]
    assert len(rows(database, tables.manifest)) == 5
    assert len(rows(database, tables.firing)) == 1


KILLED = """
import os, signal, sys
from planning_kit import plan, utc
from outbound.services import releases
from outbound.services.planning import firing
from outbound.storage import decisions, runs
from outbound.storage.database import Database

firing.RANGE = 5
database, left = Database(sys.argv[1]), int(sys.argv[2])
real = decisions.insert

def insert(*arguments, **values):
    global left
    done = real(*arguments, **values)  # messages and decisions of this range are written, not committed
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done

decisions.insert = insert
plan(database, releases.active(database), utc("2026-01-04 08:45"))
"""


@pytest.mark.kill
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_planner_killed_in_the_first_a_middle_and_the_last_range(
    database: Database, database_url: str, active: Active, at: int
) -> None:
    """Fault F02 with SIGKILL: candidates = built + skipped after the restart, and nobody twice."""
    command = [sys.executable, "-c", KILLED, database_url, str(at)]
    path = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[3]}"}
    killed = subprocess.run(command, env=path, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert sum(row.candidates for row in rows(database, tables.run)) == 5 * (at - 1)
    plan(database, active, SUNDAY)
    assert list(balance(database)) == [(PEOPLE, 5, 18)]
    assert len(messages(database)) == 18


def test_planners_at_the_same_time_share_the_work_and_double_nothing(database: Database, active: Active) -> None:
    """Fault F05: four planners start together, on the same slot and the same events."""
    for number in range(PEOPLE):
        add_event(
            database, f"e{number}", "order.placed", f"c{number:02}", {"order_id": str(number), "total": 1}, SUNDAY
        )
    barrier, failures = threading.Barrier(4), []

    def work() -> None:
        own = Database(database.url.render_as_string(hide_password=False))
        try:
            barrier.wait()
            plan(own, active, SUNDAY)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(balance(database)) == [(PEOPLE, 5, 18), (PEOPLE, 0, PEOPLE)]
    assert len(rows(database, tables.firing)) == 1


def test_one_rule_that_fails_does_not_keep_the_others_waiting(
    database: Database, active: Active, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised when every rule had its turn, and the failed slot is planned by the next pass."""
    add_event(database, "e1", "order.placed", "c01", {"order_id": "A1", "total": 1}, SUNDAY)
    with monkeypatch.context() as patch:
        patch.setattr(firing, "_who", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            plan(database, active, SUNDAY)
    assert [row.rule for row in rows(database, tables.message)] == ["receipt"]
    plan(database, active, SUNDAY)
    assert list(balance(database)) == [(PEOPLE, 5, 18), (1, 0, 1)]


def test_customers_who_share_an_address_get_one_marketing_message(database: Database, active: Active) -> None:
    """Fault F15, with the sharers in the same key range, in another one and in another zone."""
    for name, zone in (("c01a", None), ("c19a", None), ("zoe", "America/New_York")):
        add_customer(database, name, email="C01@Example.com" if name == "c01a" else "c01@example.com", timezone=zone)
    plan(database, active, SUNDAY)
    plan(database, active, utc("2026-01-04 14:45"))
    with database.read() as connection:
        skipped = connection.execute(
            sa.select(tables.decision.c.customer_id).where(tables.decision.c.reason == "duplicate_address")
        ).scalars()
        assert set(skipped) == {"c01a", "c19a", "zoe"}
    assert "c01" in messages(database)
    assert list(balance(database)) == [(PEOPLE + 3, 8, 18)]


def test_a_sharer_who_gets_nothing_leaves_the_address_to_the_other(database: Database, active: Active) -> None:
    """c05 has no consent, so the message to the shared address is c05a's."""
    add_customer(database, "c05a", email="c05@example.com")
    plan(database, active, SUNDAY)
    assert "c05a" in messages(database)


def test_a_transactional_message_goes_to_each_of_them(database: Database, active: Active) -> None:
    add_customer(database, "c01a", email="c01@example.com")
    for customer in ("c01", "c01a"):
        add_event(database, customer, "order.placed", customer, {"order_id": customer, "total": 1}, BEFORE)
    plan(database, active, BEFORE)
    assert set(messages(database)) == {"c01", "c01a"}


def test_an_idle_pass_writes_nothing(database: Database, active: Active) -> None:
    plan(database, active, SUNDAY)
    before = rows(database, tables.installation)
    plan(database, active, utc("2026-01-04 08:45:30"))
    assert rows(database, tables.installation) == before


def test_pace_spreads_a_run_over_its_key_ranges(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six an hour from ten o'clock on: every ten minutes one, whichever key range it was planned in."""
    monkeypatch.setattr(firing, "RANGE", 5)
    paced = publish(database, rule_files(NEWSLETTER.replace("[email, sms]", "[email, sms], pace: 6/h")), BEFORE)
    for number in range(8):
        add_customer(database, f"c{number}")
    plan(database, paced, SUNDAY)
    opening = utc("2026-01-04 09:00")
    due = sorted((row.not_before - opening).total_seconds() / 60 for row in rows(database, tables.message))
    assert due == [0, 10, 20, 30, 40, 50, 60, 70]


def test_pace_holds_over_all_zones_of_a_run(database: Database) -> None:
    """What is said is the most per hour: people whose ten o'clock is later wait behind those who still leave."""
    written = NEWSLETTER.replace("[email, sms]", "[email, sms], pace: 6/h")
    paced = publish(database, rule_files(written), BEFORE)
    for number in range(8):
        add_customer(database, f"it{number}", country="IT")
        add_customer(database, f"pt{number}", country="PT")
    plan(database, paced, SUNDAY)
    plan(database, paced, SUNDAY + timedelta(hours=1))
    due = sorted(row.not_before for row in rows(database, tables.message))
    assert len(due) == 16
    assert all(later - earlier >= timedelta(minutes=10) for earlier, later in pairwise(due))
