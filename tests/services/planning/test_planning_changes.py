"""Rules on changes: each change of a watched attribute is one occurrence, whoever wrote it and whatever is killed."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from planning_kit import add_customer, balance, next_due_of, plan, publish, rows, rule_files, utc

from outbound.domain.customer import Preference, Scalar
from outbound.services import customers as customer_service
from outbound.services import preferences
from outbound.services.planning import changes as stage
from outbound.services.releases import Active
from outbound.storage import changes, customers, idle, runs, tables
from outbound.storage.customers import Update
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
NOON = utc("2026-03-02 12:00")
PRO = """
rule: pro
owner: crm@shop.example
topic: orders
when: {changed: customer.plan, from: free, to: pro}
send: {template: plain, channels: [email]}
"""
ANY = """
rule: any
owner: crm@shop.example
topic: orders
when: {changed: customer.plan}
expires: 48h
send: {template: plain, channels: [email]}
"""


def put(database: Database, customer_id: str, **attributes: Scalar) -> None:
    """Write attributes the way pages and scripts do."""
    with database.write() as connection:
        update = Update(customer_id=customer_id, attributes=attributes)
        customers.apply(connection, update, source="test", now=NOON)


def sent(database: Database, rule: str = "pro") -> list[str]:
    """Who got a message of the rule, once for each."""
    return sorted(row.customer_id for row in rows(database, tables.message) if row.rule == rule)


def waiting(database: Database) -> int:
    """How many changes no rule has seen."""
    return sum(row.pending for row in rows(database, tables.customer_change))


def test_a_change_from_and_to_what_is_written_fires_once(database: Database) -> None:
    """Only free to pro: another way round, a first value and the same value again are no such change."""
    add_customer(database, "ada", attributes={"plan": "free"})
    add_customer(database, "bob", attributes={"plan": "pro"})
    add_customer(database, "cy")
    active = publish(database, rule_files(PRO), BEFORE)
    put(database, "ada", plan="pro")
    put(database, "bob", plan="free")
    put(database, "cy", plan="pro")
    put(database, "ada", plan="pro")
    assert waiting(database) == 3
    for _ in range(2):
        plan(database, active, NOON)
    assert sent(database) == ["ada"]
    assert waiting(database) == 0
    assert [(run.slot, run.trigger) for run in rows(database, tables.run)] == [("2026-03-02", "changed")]
    assert list(balance(database)) == [(1, 0, 1)]


def test_without_from_and_to_every_new_value_fires_but_not_the_first_of_a_new_customer(database: Database) -> None:
    """A value that comes with the customer is no change; the first value of somebody known is one, so is a lost one."""
    add_customer(database, "ada")
    add_customer(database, "bob", attributes={"plan": "pro"})
    active = publish(database, rule_files(ANY), BEFORE)
    add_customer(database, "new", attributes={"plan": "pro"}, now=NOON)
    put(database, "ada", plan="pro")
    put(database, "bob", plan=None)
    plan(database, active, NOON)
    assert sent(database, "any") == ["ada", "bob"]


def test_two_changes_in_one_batch_are_two_occurrences(database: Database) -> None:
    """Free to pro and back before anybody looked: the rule for pro fires although it is over; who is about now."""
    add_customer(database, "ada", attributes={"plan": "free"})
    over = PRO.replace("rule: pro", "rule: still").replace("send:", "who: customer.plan == 'pro'\nsend:")
    active = publish(database, rule_files(PRO, ANY, over), BEFORE)
    put(database, "ada", plan="pro")
    put(database, "ada", plan="free")
    plan(database, active, NOON)
    assert sent(database) == ["ada"]
    assert sent(database, "any") == ["ada", "ada"]
    assert sent(database, "still") == []
    [run] = [row for row in rows(database, tables.run) if row.rule == "still"]
    with database.read() as connection:
        assert runs.misses(connection, run.id) == {"ada": 0}


def test_the_template_and_the_key_know_the_change(database: Database) -> None:
    add_customer(database, "ada", attributes={"plan": "free"}, timezone="Pacific/Auckland")
    dated = PRO.replace("send:", 'once: "{change.date}"\nsend:').replace("plain", "told")
    files = {
        **rule_files(dated),
        "templates/told/template.yaml": (
            b"subject: {en: Your plan}\ncontext: {change: [attribute, old, new, date]}\n"
            b"sample: {change: {attribute: plan, old: free, new: pro, date: 2026-03-02}}\n"
        ),
        "templates/told/email.mjml": (
            b"<mj-section><mj-column><mj-text>{{ change.attribute }}: {{ change.old }} to {{ change.new }} on "
            b"{{ change.date }}.</mj-text></mj-column></mj-section>"
        ),
    }
    active = publish(database, files, BEFORE)
    put(database, "ada", plan="pro")
    plan(database, active, NOON)
    [message] = rows(database, tables.message)
    assert message.once == "2026-03-03"
    assert message.context["change"] == {"attribute": "plan", "old": "free", "new": "pro", "date": "2026-03-03"}


def test_what_was_there_before_the_rule_is_the_baseline(database: Database) -> None:
    """Rules.md, Activation: neither today's values nor changes before publication fire."""
    add_customer(database, "ada", attributes={"plan": "free"})
    publish(database, rule_files(ANY.replace("rule: any", "rule: other")), BEFORE)
    put(database, "ada", plan="pro")
    active = publish(database, rule_files(PRO), utc("2026-03-02 12:30"))
    plan(database, active, utc("2026-03-02 12:31"))
    assert rows(database, tables.message) == []
    assert waiting(database) == 0


def test_include_current_fires_for_todays_values_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is about new rules only; one that says ``from`` cannot know what was before."""
    monkeypatch.setattr("outbound.services.planning.current.RANGE", 2)
    for name in ("ada", "bob", "cy"):
        add_customer(database, name, attributes={"plan": "pro"})
    add_customer(database, "dan", attributes={"plan": "free"})
    to = PRO.replace("from: free, ", "")
    publish(database, rule_files(ANY), BEFORE)
    known = PRO.replace("rule: pro", "rule: known")
    active = publish(database, rule_files(ANY, to, known), utc("2026-01-03 00:00"), include_current=True)
    for _ in range(2):
        plan(database, active, utc("2026-01-03 00:01"))
    assert sent(database) == ["ada", "bob", "cy"]
    assert sent(database, "any") == []
    assert {row.once for row in rows(database, tables.message)} == {"current"}
    assert list(balance(database)) == [(3, 0, 3)]


def test_it_expires_counted_from_its_own_time(database: Database) -> None:
    add_customer(database, "ada", attributes={"plan": "free"})
    active = publish(database, rule_files(ANY), BEFORE)
    put(database, "ada", plan="pro")
    plan(database, active, utc("2026-03-04 12:00"))
    assert [row.reason for row in rows(database, tables.decision)] == ["expired"]


def test_nothing_is_marked_that_no_rule_waits_for(database: Database) -> None:
    """Marks that a withdrawn rule left are cleared; a draft waits for nothing."""
    add_customer(database, "ada", attributes={"plan": "free"})
    publish(database, rule_files(ANY + "draft: true\n"), BEFORE)
    put(database, "ada", plan="pro")
    assert waiting(database) == 0
    publish(database, rule_files(ANY), BEFORE)
    put(database, "ada", plan="free", points=3)
    assert waiting(database) == 1
    active = publish(database, rule_files(ANY.replace("customer.plan", "customer.points")), BEFORE)
    plan(database, active, NOON)
    assert waiting(database) == 0
    assert rows(database, tables.message) == []


def test_addresses_and_preferences_are_attributes_too(database: Database) -> None:
    add_customer(database, "ada")
    active = publish(database, rule_files(ANY.replace("customer.plan", "customer.language")), BEFORE)
    wanted = Preference(language="it")
    preferences.set_preferences(database, customer_id="ada", preference=wanted, source="page", now=NOON)
    plan(database, active, NOON)
    assert sent(database, "any") == ["ada"]


def test_a_change_of_the_future_waits_and_is_named_as_next(database: Database) -> None:
    """The made-up clock of ``outbound run --at`` may stand before what was written."""
    add_customer(database, "ada", attributes={"plan": "free"})
    active = publish(database, rule_files(PRO), BEFORE)
    put(database, "ada", plan="pro")
    plan(database, active, utc("2026-03-02 11:00"))
    assert sent(database) == []
    assert next_due_of(database, active, utc("2026-03-02 11:00")) == NOON
    plan(database, active, NOON)
    assert sent(database) == ["ada"]


def test_a_change_of_a_merged_customer_is_the_survivors(database: Database) -> None:
    """The waiting change of the record that went fires for the one that stays; what merging fills in is no change."""
    add_customer(database, "old", attributes={"plan": "free"})
    add_customer(database, "ada")
    active = publish(database, rule_files(ANY), BEFORE)
    put(database, "old", plan="pro")
    customer_service.merge(database, loser="old", winner="ada", by="mia", now=NOON)
    plan(database, active, NOON)
    assert sent(database, "any") == ["ada"]
    assert waiting(database) == 0


def test_an_idle_pass_finds_what_waits_by_indexes(database: Database) -> None:
    """The partial indexes hold only what waits: the history may be as long as it likes."""
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")
        seen: list[tuple[str, Any]] = []
        sa.event.listen(connection, "before_cursor_execute", lambda *a: seen.append((a[2], a[3])))
        idle.waits(connection, "planned")
        statement, values = next(one for one in seen if "EXISTS" in one[0])
        steps = str(connection.exec_driver_sql(explain + statement, values).all())
    for index in ("ix_customer_change_pending", "ix_event_pending", "ix_customer_moved"):
        assert index in steps


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_interrupted_in_any_batch_every_change_is_handled_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """Fault F02 for changes: what a batch decided goes with the marks it cleared, or neither does."""
    monkeypatch.setattr(stage, "BATCH", 4)
    active = _many(database, 10)
    real, calls = changes.clear, []

    def fail(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == failing:
            raise RuntimeError("power cut")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(changes, "clear", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        plan(database, active, NOON)
    assert len(sent(database)) == 4 * (failing - 1)
    plan(database, active, NOON)
    assert len(sent(database)) == len(set(sent(database))) == 10
    assert list(balance(database)) == [(10, 0, 10)]


KILLED = """
import os, signal, sys
from planning_kit import plan, utc
from outbound.services import releases
from outbound.services.planning import changes as stage
from outbound.services.releases import Active
from outbound.storage import changes
from outbound.storage.database import Database

stage.BATCH = 4
database, left = Database(sys.argv[1]), int(sys.argv[2])
real = changes.clear

def clear(*arguments):
    global left
    real(*arguments)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

changes.clear = clear
plan(database, releases.active(database), utc("2026-03-02 12:00"))
"""


@pytest.mark.kill
@pytest.mark.parametrize("at", [1, 3])
def test_a_planner_of_changes_killed_before_a_commit(database: Database, database_url: str, at: int) -> None:
    """Fault F02 with SIGKILL: the next pass handles exactly what is left."""
    active = _many(database, 10)
    path = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[3]}"}
    command = [sys.executable, "-c", KILLED, database_url, str(at)]
    killed = subprocess.run(command, env=path, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert len(sent(database)) == 4 * (at - 1)
    plan(database, active, NOON)
    assert len(sent(database)) == len(set(sent(database))) == 10


def test_planners_at_once_beside_a_writer_lose_and_double_nothing(database: Database) -> None:
    """Fault F05 for changes: marked rows are taken in any order, so one that commits late is not passed over."""
    active = _many(database, 30, written=False)
    failures: list[Exception] = []
    done = threading.Event()

    def run(work: object) -> None:
        own = Database(database.url.render_as_string(hide_password=False))
        try:
            work(own)  # type: ignore[operator]
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)
        finally:
            own.close()

    def write(own: Database, part: int) -> None:
        for number in range(part, 30, 2):
            put(own, f"c{number:02}", plan="pro")

    def look(own: Database) -> None:
        while not done.is_set():
            plan(own, active, NOON)

    writers = [threading.Thread(target=run, args=(lambda own, part=part: write(own, part),)) for part in (0, 1)]
    planners = [threading.Thread(target=run, args=(look,)) for _ in range(2)]
    for thread in (*planners, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in planners:
        thread.join()
    plan(database, active, NOON)
    assert failures == []
    assert sent(database) == [f"c{number:02}" for number in range(30)]
    assert waiting(database) == 0


def _many(database: Database, count: int, *, written: bool = True) -> Active:
    for number in range(count):
        add_customer(database, f"c{number:02}", attributes={"plan": "free"})
    active = publish(database, rule_files(PRO), BEFORE)
    for number in range(count) if written else ():
        put(database, f"c{number:02}", plan="pro")
    return active
