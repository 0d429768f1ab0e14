"""A page of the timeline costs what it shows, however many customers there are and however much each of them got."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outbound.services.bench import timeline as bench
from outbound.services.customer_reads import history
from outbound.storage.database import Database
from outbound.storage.tables import event, message

EACH = 50


def steps(database: Database, limit: int) -> int:
    """What SQLite's machine does for a page, in its instructions: the same on every machine."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    history(database, "c-0000003", limit=limit, before=None)  # its statements are made
    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(step, 1)  # the pool has no other connection
    assert len(history(database, "c-0000003", limit=limit, before=None)[1]) == limit
    driver.set_progress_handler(None, 1)
    return taken


def filled(folder: Path, messages: int) -> Database:
    database = Database(f"sqlite:///{folder / f'{messages}.db'}", durable=False)
    bench.fill(database, messages)
    return database


def test_a_page_reads_no_other_customer(tmp_path: Path) -> None:
    few, many = filled(tmp_path, 10 * EACH), filled(tmp_path, 200 * EACH)
    assert steps(many, EACH) <= 1.01 * steps(few, EACH)
    few.close()
    many.close()


def test_a_page_reads_what_it_shows(tmp_path: Path) -> None:
    """Ten of fifty messages; ten of five hundred events, of which only the times are gone through."""
    database = filled(tmp_path, 10 * EACH)
    assert steps(database, 10) < 0.5 * steps(database, EACH)
    with database.write() as connection:
        newest = sa.select(message.c.created_at).order_by(message.c.created_at.desc()).limit(1)
        at = connection.execute(newest).scalar_one()
        rows = [
            {"id": f"e-{n}", "customer_id": "c-0000003", "name": f"order.{n % 3}", "data": {"n": n}, "received_at": at}
            | {"at": at - timedelta(hours=n)}
            for n in range(500)
        ]
        connection.execute(sa.insert(event), rows)
    _, page = history(database, "c-0000003", limit=10, before=None)
    assert [entry.details["n"] for entry in page if entry.kind == "event"] == [*range(9)]
    database.close()


def test_no_statement_of_a_page_goes_through_a_table(tmp_path: Path) -> None:
    """Every kind, the first page and the one after it."""
    database = filled(tmp_path, EACH)
    said: list[str] = []
    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(said.append)
    _, page = history(database, "c-0000000", limit=10, before=None)
    for kind in ("change", "event", "operation"):
        history(database, "c-0000000", limit=10, before=replace(page[-1].place, kind=kind))
    driver.set_trace_callback(None)
    asked = [one for one in said if one.startswith("SELECT")]
    assert len(asked) == 4 * (2 + 8)
    for one in asked:
        plan = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {one}")]
        assert not [line for line in plan if line.startswith("SCAN")], one
        assert " FROM event" not in one or any("COVERING INDEX" in line for line in plan)
    database.close()
