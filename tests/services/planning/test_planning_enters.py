"""Rules on entering a segment: a real leave and re-enter, found by what happened, by what changed and by time."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from planning_kit import add_customer, add_event, balance, next_due_of, plan, publish, rows, rule_files, utc

from outbound.domain.consent import Evidence
from outbound.domain.customer import Scalar
from outbound.domain.release import Files
from outbound.services import customers as customer_service
from outbound.services import preferences
from outbound.services.releases import Active
from outbound.storage import changes, customers, memberships, tables
from outbound.storage.customers import Update
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
NOON = utc("2026-03-02 12:00")
SOON = utc("2026-03-02 12:05")
HELLO = """
rule: hello
owner: crm@shop.example
topic: orders
when: {enters: buyers}
send: {template: plain, channels: [email]}
"""
PRO = "customer.plan == 'pro'"
BUYERS = "count(order.placed, within 30d) >= 2"


def files(condition: str = PRO, *rules: str, rule: str = HELLO) -> Files:
    """A release whose segment ``buyers`` is ``condition``."""
    return {**rule_files(rule, *rules), "rules/segments.yaml": f"segment: buyers\nif:\n  - {condition}\n".encode()}


def put(database: Database, customer_id: str, **attributes: Scalar) -> None:
    """Write attributes the way pages and scripts do."""
    with database.write() as connection:
        customers.apply(connection, Update(customer_id=customer_id, attributes=attributes), source="test", now=NOON)


def sent(database: Database, rule: str = "hello") -> list[tuple[str, str]]:
    """(customer, key) of the rule's messages."""
    return sorted((row.customer_id, row.once) for row in rows(database, tables.message) if row.rule == rule)


def members(database: Database) -> dict[str, tuple[bool, int]]:
    """Who is known to the segment: in or out, and how often they came in."""
    return {row.customer_id: (row.inside, row.entries) for row in rows(database, tables.membership)}


def test_a_change_lets_somebody_in_at_the_next_pass(database: Database) -> None:
    """Nobody waits for the hour: the change itself is looked at, for the customer concerned."""
    add_customer(database, "ada", attributes={"plan": "free"})
    active = publish(database, files(), BEFORE)
    plan(database, active, NOON)
    put(database, "ada", plan="pro")
    for _ in range(2):
        plan(database, active, SOON)
    assert sent(database) == [("ada", "1")]
    assert members(database) == {"ada": (True, 1)}
    assert [(run.slot, run.trigger) for run in rows(database, tables.run)] == [("2026-03-02", "enters")]
    assert list(balance(database)) == [(1, 0, 1)]


def test_an_event_lets_somebody_in_and_time_lets_them_out(database: Database) -> None:
    """No rule listens to order.placed: the segment does. Thirty days later they are out, and may enter again."""
    add_customer(database, "ada")
    active = publish(database, files(BUYERS), BEFORE)
    plan(database, active, NOON)
    for number in range(2):
        add_event(database, f"e{number}", "order.placed", "ada", {"order_id": "A", "total": 1}, SOON)
    plan(database, active, SOON)
    assert sent(database) == [("ada", "1")]
    later = utc("2026-04-02 12:00")
    plan(database, active, later)
    assert members(database) == {"ada": (False, 1)}
    for number in range(2, 4):
        add_event(database, f"e{number}", "order.placed", "ada", {"order_id": "A", "total": 1}, later)
    plan(database, active, later)
    assert sent(database) == [("ada", "1"), ("ada", "2")]


def test_who_is_inside_already_enters_only_after_leaving(database: Database) -> None:
    """Rules.md, Activation: publishing takes today's members silently; then a real leave and re-enter counts."""
    add_customer(database, "ada", attributes={"plan": "pro"})
    active = publish(database, files(), BEFORE)
    plan(database, active, NOON)
    assert members(database) == {"ada": (True, 0)}
    put(database, "ada", points=1)
    plan(database, active, SOON)
    assert sent(database) == []
    put(database, "ada", plan="free")
    plan(database, active, SOON)
    put(database, "ada", plan="pro")
    plan(database, active, SOON)
    assert sent(database) == [("ada", "1")]


def test_c37_who_refuses_marketing_is_not_profiled_for_it(database: Database) -> None:
    """GDPR art. 21(2)-(3): forgotten at the next look, in nobody's segment while they refuse, there again on a yes."""
    marketing = HELLO.replace("topic: orders", "topic: newsletter")
    for name in ("ada", "bob"):
        add_customer(database, name, attributes={"plan": "free"})
    active = publish(database, files(rule=marketing), BEFORE)
    plan(database, active, NOON)
    put(database, "ada", plan="pro")
    plan(database, active, SOON)
    assert members(database) == {"ada": (True, 1)}

    def say(name: str, state: str, at: datetime) -> None:
        word = preferences.withdraw if state == "no" else preferences.grant
        proof = Evidence(source="page", wording="no")
        word(database, customer_id=name, topic="newsletter", channel=None, evidence=proof, now=at)

    for name in ("ada", "bob"):
        say(name, "no", SOON)
    put(database, "bob", plan="pro")
    plan(database, active, SOON)
    plan(database, active, utc("2026-03-02 13:00"))
    assert members(database) == {}
    assert sent(database) == [("ada", "1")]
    assert [row.reason for row in rows(database, tables.decision) if row.customer_id == "bob"] == []
    say("bob", "yes", utc("2026-03-02 13:30"))
    plan(database, active, utc("2026-03-02 14:00"))
    assert members(database) == {"bob": (True, 1)}

    both = publish(
        database, files(PRO, marketing, rule=HELLO.replace("rule: hello", "rule: notice")), utc("2026-03-02 15:00")
    )
    say("bob", "no", utc("2026-03-02 15:01"))
    plan(database, both, utc("2026-03-02 16:00"))
    assert "bob" in members(database), "a notice about orders watches it too, and nobody can refuse that"


def test_include_current_makes_everybody_inside_an_entry_of_the_new_rule(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second rule on the same segment says hello to all of them; the first does not say it again."""
    monkeypatch.setattr("outbound.services.planning.current.RANGE", 2)
    for name in ("ada", "bob", "cy"):
        add_customer(database, name, attributes={"plan": "pro"})
    add_customer(database, "dan")
    publish(database, files(), BEFORE)
    second = HELLO.replace("rule: hello", "rule: second").replace("send:", "who: customer.id != 'bob'\nsend:")
    active = publish(database, files(PRO, second), utc("2026-01-03 00:00"), include_current=True)
    for _ in range(2):
        plan(database, active, utc("2026-01-03 00:01"))
    assert sent(database, "second") == [("ada", "0"), ("cy", "0")]
    assert sent(database) == []
    assert list(balance(database)) == [(2, 0, 2)]


def test_another_definition_takes_todays_members_silently(database: Database) -> None:
    """The version of the segment is kept; comments and layout are no other version."""
    add_customer(database, "ada", attributes={"plan": "free"})
    add_customer(database, "bob", attributes={"plan": "pro"})
    publish(database, files(), BEFORE)
    active = publish(database, files("customer.plan in ['free']  # the other way"), utc("2026-01-03 00:00"))
    plan(database, active, NOON)
    assert sent(database) == []
    assert members(database) == {"ada": (True, 0), "bob": (False, 0)}
    put(database, "bob", plan="free")
    spaced = files("customer.plan   in ['free']")
    again = publish(database, spaced, utc("2026-03-02 12:01"))
    plan(database, again, SOON)
    assert sent(database) == [("bob", "1")]


def test_a_segment_nobody_watched_for_a_while_starts_from_its_members_of_then(database: Database) -> None:
    """The rule went and came back: who came in meanwhile did not enter, and numbers of entries are not used twice."""
    add_customer(database, "ada", attributes={"plan": "free"})
    active = publish(database, files(), BEFORE)
    put(database, "ada", plan="pro")
    plan(database, active, NOON)
    assert sent(database) == [("ada", "1")]
    publish(database, files(rule=HELLO + "draft: true\n"), utc("2026-03-02 12:01"))
    put(database, "ada", plan="free")
    add_customer(database, "bob", attributes={"plan": "pro"})
    active = publish(database, files(), utc("2026-03-02 12:02"))
    plan(database, active, SOON)
    assert members(database) == {"ada": (False, 1), "bob": (True, 0)}
    put(database, "ada", plan="pro")
    plan(database, active, SOON)
    assert sent(database) == [("ada", "1"), ("ada", "2")]


def test_each_zone_has_its_own_today(database: Database) -> None:
    """At 12:00 UTC it is the third in Auckland and the second in Rome, and the full hour finds both in turn."""
    for name, zone in (("ada", "Pacific/Auckland"), ("bob", "Europe/Rome")):
        add_customer(database, name, timezone=zone, attributes={"birth_date": "2026-03-03"})
    active = publish(database, files("days_until(customer.birth_date) == 0"), BEFORE)
    plan(database, active, utc("2026-03-02 10:59"))
    assert sent(database) == []
    assert next_due_of(database, active, utc("2026-03-02 10:59")) == utc("2026-03-02 11:00")
    plan(database, active, utc("2026-03-02 11:00"))
    assert sent(database) == [("ada", "1")]
    plan(database, active, utc("2026-03-02 23:00"))
    assert sent(database) == [("ada", "1"), ("bob", "1")]
    assert {row.customer_id: row.zone for row in rows(database, tables.message)}["ada"] == "Pacific/Auckland"


def test_everybody_is_asked_about_once_an_hour(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add_customer(database, "ada", attributes={"plan": "free"})
    active = publish(database, files(), BEFORE)
    asked = []
    real = memberships.moving
    monkeypatch.setattr(memberships, "moving", lambda *a, **k: asked.append(1) or real(*a, **k))  # type: ignore[func-returns-value]
    for minute in ("12:00", "12:01", "12:59", "13:00"):
        plan(database, active, utc(f"2026-03-02 {minute}"))
    assert len(asked) == 2


def test_a_new_customer_inside_enters(database: Database) -> None:
    """One written alone at the next pass; an import asks for everybody to be looked at, without waiting an hour."""
    active = publish(database, files(), BEFORE)
    plan(database, active, NOON)
    add_customer(database, "ada", attributes={"plan": "pro"}, now=NOON)
    plan(database, active, SOON)
    assert sent(database) == [("ada", "1")]
    with database.write() as connection:
        connection.execute(tables.customer_change.update().values(pending=False))
    add_customer(database, "bob", attributes={"plan": "pro"}, now=NOON)
    with database.write() as connection:
        connection.execute(tables.customer_change.update().values(pending=False))
        changes.ask_for_sweep(connection, now=SOON)
    for _ in range(2):
        plan(database, active, SOON)
    assert sent(database) == [("ada", "1"), ("bob", "1")]


def test_a_value_that_comes_with_a_new_customer_lets_them_in_and_is_no_change(database: Database) -> None:
    """One attribute, watched by a segment and by a rule on changes: the first value is looked at for the segment."""
    changed = HELLO.replace("rule: hello", "rule: changed").replace("enters: buyers", "changed: customer.plan")
    active = publish(database, files(PRO, changed), BEFORE)
    add_customer(database, "ada", attributes={"plan": "pro"}, now=NOON)
    plan(database, active, NOON)
    assert sent(database) == [("ada", "1")]
    assert sent(database, "changed") == []
    put(database, "ada", plan="free")
    plan(database, active, SOON)
    assert [customer for customer, _ in sent(database, "changed")] == ["ada"]


def test_who_is_asked_about_each_who_entered_and_the_key_may_be_the_day(database: Database) -> None:
    dated = HELLO.replace("send:", "who: customer.points > 5\nonce: '{entry.date}'\nsend:")
    add_customer(database, "ada", attributes={"plan": "free", "points": 9})
    add_customer(database, "bob", attributes={"plan": "free"})
    active = publish(database, files(rule=dated), BEFORE)
    put(database, "ada", plan="pro")
    put(database, "bob", plan="pro")
    plan(database, active, SOON)
    assert sent(database) == [("ada", "2026-03-02")]
    [kept] = rows(database, tables.manifest)
    assert kept.count == 1


def test_merged_customers_are_one_member(database: Database) -> None:
    """In where either was in: the survivor does not enter again, and no number of an entry comes twice."""
    for name in ("old", "ada"):
        add_customer(database, name, attributes={"plan": "free"})
    active = publish(database, files(), BEFORE)
    plan(database, active, NOON)
    put(database, "old", plan="pro")
    put(database, "ada", plan="pro")
    plan(database, active, SOON)
    put(database, "ada", plan="free")
    plan(database, active, SOON)
    customer_service.merge(database, loser="old", winner="ada", by="mia", now=SOON)
    assert members(database) == {"ada": (True, 1)}
    put(database, "ada", plan="pro")  # not a re-entry: the other record was in all the time
    plan(database, active, utc("2026-03-02 13:00"))
    assert sent(database) == [("ada", "1"), ("old", "1")]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_sweep_interrupted_in_any_piece_lets_everybody_in_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Fault F02 for memberships: the piece's members, decisions and messages commit together."""
    monkeypatch.setattr(memberships, "CHUNK", 4)
    active = _many(database, 10)
    real, calls = memberships.enter, []

    def fail(*arguments: object, **values: object) -> None:
        real(*arguments, **values)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == failing:
            raise RuntimeError("power cut")

    monkeypatch.setattr(memberships, "enter", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        plan(database, active, SOON)
    assert len(sent(database)) == 4 * (failing - 1) == len(members(database))
    plan(database, active, SOON)
    assert sent(database) == [(f"c{number:02}", "1") for number in range(10)]
    assert list(balance(database)) == [(10, 0, 10)]


KILLED = """
import os, signal, sys
from planning_kit import plan, utc
from outbound.services import releases
from outbound.services.planning import enters
from outbound.storage import memberships
from outbound.storage.database import Database

memberships.CHUNK = 4
database, left = Database(sys.argv[1]), int(sys.argv[2])
real = enters.fire

def fire(*arguments, **values):
    global left
    real(*arguments, **values)  # members, messages and decisions of this piece are written, not committed
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

enters.fire = fire
plan(database, releases.active(database), utc("2026-03-02 12:05"))
"""


@pytest.mark.kill
@pytest.mark.parametrize("at", [1, 3])
def test_a_sweep_killed_before_a_commit(database: Database, database_url: str, at: int) -> None:
    """Fault F02 with SIGKILL: the next pass lets in exactly those who are left."""
    active = _many(database, 10)
    path = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[3]}"}
    command = [sys.executable, "-c", KILLED, database_url, str(at)]
    killed = subprocess.run(command, env=path, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert len(sent(database)) == 4 * (at - 1) == len(members(database))
    plan(database, active, SOON)
    assert sent(database) == [(f"c{number:02}", "1") for number in range(10)]


def _many(database: Database, count: int) -> Active:
    """People who are inside without anybody having been told: only a look at everybody finds them."""
    active = publish(database, files(), BEFORE)
    for number in range(count):
        add_customer(database, f"c{number:02}", attributes={"plan": "pro"})
    with database.write() as connection:
        connection.execute(tables.customer_change.update().values(pending=False))
    return active


def test_planners_and_writers_at_once_agree_on_who_entered_how_often(  # noqa: C901 - two kinds of threads
    database: Database,
) -> None:
    """Fault F05 for memberships: nobody waits in a ring, and the messages are exactly the entries that were counted."""
    for number in range(12):
        add_customer(database, f"c{number:02}", attributes={"plan": "free"})
    active = publish(database, files(BUYERS.replace(">= 2", ">= 0") + " and " + PRO), BEFORE)
    failures: list[Exception] = []
    done = threading.Event()

    def run(work: Callable[[Database], None]) -> None:
        own = Database(database.url.render_as_string(hide_password=False))
        try:
            work(own)
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)
        finally:
            own.close()

    def write(own: Database, part: int) -> None:
        for turn in range(5):
            for number in range(part, 12, 2):
                put(own, f"c{number:02}", plan="free" if turn % 2 else "pro")
                key = f"e{number}-{turn}"
                add_event(own, key, "order.placed", f"c{number:02}", {"order_id": "A", "total": 1}, NOON)

    def look(own: Database) -> None:
        while not done.is_set():
            with own.write() as connection:
                changes.ask_for_sweep(connection, now=NOON)
            plan(own, active, NOON)

    def writer(part: int) -> Callable[[Database], None]:
        return lambda own: write(own, part)

    writers = [threading.Thread(target=run, args=(writer(part),)) for part in (0, 1)]
    planners = [threading.Thread(target=run, args=(look,)) for _ in range(2)]
    for thread in (*planners, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in planners:
        thread.join()
    plan(database, active, SOON)
    assert failures == []
    known = members(database)
    assert set(known) == {f"c{number:02}" for number in range(12)}
    assert all(inside for inside, _ in known.values())
    expected = [(name, str(n)) for name, (_, entries) in known.items() for n in range(1, entries + 1)]
    assert sent(database) == sorted(expected)
    assert not any(row.pending for row in rows(database, tables.customer_change))
