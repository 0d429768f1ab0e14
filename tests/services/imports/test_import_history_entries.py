"""Rules.md 1.9: `import events` fires nothing without `--fire`, also not by way of a segment that it fills."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from import_shop import FIELDS, Shop

sys.path.insert(0, str(Path(__file__).parents[1] / "planning"))

from planning_kit import add_customer, add_event, plan, publish, rows, rule_files, utc

from outbound.services.imports.report import ImportReport
from outbound.storage import customers, tables
from outbound.storage.customers import Update
from outbound.storage.database import Database

HELLO = """
rule: hello
owner: crm@shop.example
topic: orders
when: {enters: buyers}
send: {template: plain, channels: [email]}
"""
BEFORE, NOON, HOUR = utc("2026-03-01 00:00"), utc("2026-03-02 12:00"), utc("2026-03-02 13:00")
MAPPING = "import: events\nevent: order.placed\ncustomer: c\nid: i\nat: at\ndata: {order_id: i, total: {value: 1}}\n"


def _release(database: Database, condition: str = "count(order.placed, within 30d) >= 2") -> object:
    segments = f"segment: buyers\nif:\n  - {condition}\n".encode()
    return publish(database, {**rule_files(HELLO), "rules/segments.yaml": segments}, BEFORE)


def _orders(*names: str) -> str:
    return "i,c,at\n" + "".join(f"{n}-{x},{n},2026-03-0{x}T10:00Z\n" for n in names for x in (1, 2))


def _history(shop: Shop, *names: str, **options: bool) -> ImportReport:
    return shop.events(MAPPING, _orders(*names), NOON, **options)


def _sent(database: Database) -> list[str]:
    return sorted(row.customer_id for row in rows(database, tables.message))


def _members(database: Database) -> dict[str, tuple[bool, int]]:
    return {row.customer_id: (row.inside, row.entries) for row in rows(database, tables.membership)}


def test_who_comes_in_by_history_is_in_silently(shop: Shop) -> None:
    """In two zones; the sweep afterwards finds nobody new, and a real leave and re-enter fires again."""
    database = shop.database
    for name, zone in (("ada", "Europe/Rome"), ("bob", "Pacific/Auckland"), ("cy", "Europe/Rome")):
        add_customer(database, name, timezone=zone)
    active = _release(database)
    plan(database, active, NOON)
    assert _history(shop, "ada", "bob", "nobody").silent_entries == 2
    assert _history(shop, "ada", "bob", "nobody").silent_entries == 0
    for at in (NOON, HOUR):
        plan(database, active, at)
    assert _sent(database) == []
    assert _members(database) == {"ada": (True, 0), "bob": (True, 0)}
    later = utc("2026-04-10 12:00")
    plan(database, active, later)
    for number in range(2):
        add_event(database, f"n{number}", "order.placed", "ada", {"order_id": "A", "total": 1}, later)
    plan(database, active, later)
    assert _sent(database) == ["ada"]


def test_with_fire_they_enter(shop: Shop) -> None:
    add_customer(shop.database, "ada")
    active = _release(shop.database)
    assert _history(shop, "ada", fire=True).silent_entries == 0
    plan(shop.database, active, HOUR)
    assert _sent(shop.database) == ["ada"]


def test_a_dry_run_keeps_no_membership(shop: Shop) -> None:
    add_customer(shop.database, "ada")
    _release(shop.database)
    assert _history(shop, "ada", dry_run=True).silent_entries == 1
    assert _members(shop.database) == {}


def test_who_came_in_by_something_else_still_enters(shop: Shop) -> None:
    """Bob's own events and cy's own attribute wait for planning; the file names them too, and takes nothing away."""
    database = shop.database
    for name in ("ada", "bob", "cy"):
        add_customer(database, name, attributes={"plan": "free"})
    active = _release(database, "count(order.placed, within 30d) >= 2 or customer.plan == 'pro'")
    plan(database, active, NOON)
    for number in range(2):
        add_event(database, f"n{number}", "order.placed", "bob", {"order_id": "A", "total": 1}, NOON)
    with database.write() as connection:
        update = Update(customer_id="cy", attributes={"plan": "pro"})
        customers.apply(connection, update, source="page", now=NOON)
    assert _history(shop, "ada", "bob", "cy").silent_entries == 1
    for at in (NOON, HOUR):
        plan(database, active, at)
    assert _sent(database) == ["bob", "cy"]
    assert _members(database)["ada"] == (True, 0)


def test_what_comes_while_the_file_is_merged_still_enters(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL only, where others write meanwhile: bob's own purchase commits between the two looks."""
    from outbound.storage import merge_events

    if shop.database.engine.dialect.name == "sqlite":
        pytest.skip("an import is the only writer on SQLite")
    database, real = shop.database, merge_events.merge
    for name in ("ada", "bob"):
        add_customer(database, name)
    active = _release(database)
    plan(database, active, NOON)

    def merge(*arguments: object, **values: object) -> object:
        add_event(database, "own", "order.placed", "bob", {"order_id": "A", "total": 1}, NOON)
        return real(*arguments, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(merge_events, "merge", merge)
    assert _history(shop, "ada", "bob").silent_entries == 1
    for at in (NOON, HOUR):
        plan(database, active, at)
    assert _sent(database) == ["bob"]


KILLED = """
import os, signal, sys
from pathlib import Path
from outbound.domain.keyring import Keyring
from outbound.services.imports import events
from outbound.storage.database import Database
from import_shop import Shop
import test_import_history_entries as own

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

events.import_batches.record = die  # events and memberships are written, not committed
own._history(Shop(Database(sys.argv[1]), Keyring.parse("k1:" + "5a" * 32), Path(sys.argv[2])), "ada")
"""


@pytest.mark.kill
def test_an_import_killed_before_its_commit_leaves_neither_events_nor_members(shop: Shop, database_url: str) -> None:
    """Fault F02: killed at the very end, the same file again has the whole effect, and still writes to nobody."""
    add_customer(shop.database, "ada")
    active = _release(shop.database)
    path = {**os.environ, "PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[3]}"}
    command = [sys.executable, "-c", KILLED, database_url, str(shop.folder)]
    killed = subprocess.run(command, env=path, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    assert _members(shop.database) == {}
    with shop.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.event)).scalar() == 0
    assert _history(shop, "ada").silent_entries == 1
    plan(shop.database, active, HOUR)
    assert _sent(shop.database) == []


def test_a_customer_import_says_that_newcomers_may_enter(shop: Shop) -> None:
    """Also a dry run says it; an import without new customers does not, and neither where no rule watches."""
    content = "id,email\nada,ada@shop.example\n"
    assert shop.customers(FIELDS + "email: email\n", content, dry_run=True).watching == ()
    active = _release(shop.database, "count(order.placed) == 0")
    assert shop.customers(FIELDS + "email: email\n", content, NOON, dry_run=True).watching == ("hello",)
    assert shop.customers(FIELDS + "email: email\n", content, NOON).watching == ("hello",)
    assert shop.customers(FIELDS + "email: email\n", content, NOON).watching == ()
    plan(shop.database, active, NOON)
    assert _sent(shop.database) == ["ada"]
