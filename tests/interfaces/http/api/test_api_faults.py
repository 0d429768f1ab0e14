"""The API when the record is busy, full, slow or gone: it says so, keeps nothing, and loses nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from api_kit import KEYRING, Running, publish, serve

from outbound.domain.errors import ConfigurationError
from outbound.storage import tables
from outbound.storage.database import Database

ORDER = {"name": "order.placed", "customer": "C-1", "data": {"order_id": "A1"}}
TRIGGER = {"key": "k", "customers": ["C-1", "C-2"], "data": {"what": "x"}}
NDJSON = {"Content-Type": "application/x-ndjson"}
WRITES = [
    ("POST", "/events", ORDER),
    ("POST", "/events/bulk", json.dumps(ORDER).encode()),
    ("POST", "/triggers/notice", TRIGGER),
    ("PUT", "/customers/C-1", {"attributes": {"first_name": "Ada"}}),
    ("POST", "/customers/C-1/interactions", {"kind": "call", "text": "x"}),
    ("POST", "/suppressions", {"channel": "email", "address": "a@example.org", "reason": "stop"}),
]


@contextmanager
def impatient(api: Running) -> Iterator[None]:
    """The API's connections wait a moment for a lock instead of seconds."""

    def wait(connection: sa.Connection) -> None:
        word = "PRAGMA busy_timeout = 50" if api.database.is_sqlite else "SET lock_timeout = 50"
        connection.exec_driver_sql(word)

    sa.event.listen(api.api.database.engine, "begin", wait, insert=api.database.is_sqlite)
    try:
        yield
    finally:
        sa.event.remove(api.api.database.engine, "begin", wait)
        api.api.database.engine.dispose()


@contextmanager
def everything_locked(api: Running) -> Iterator[None]:
    """Another process holds the writer's lock (SQLite), or the tables (PostgreSQL)."""
    with api.database.write() as connection:
        if not api.database.is_sqlite:
            names = ", ".join(
                f'"{t}"' for t in ("event", "customer", "suppression", "send_request", "interaction", "run")
            )
            connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=lambda value: str(value)[:20])
def test_while_another_holds_the_lock_the_caller_is_told_to_come_again(
    api: Running, method: str, path: str, body: object
) -> None:
    """Fault F37: 503 with Retry-After, nothing kept, and the same request works afterwards."""
    headers = NDJSON if path.endswith("bulk") else {}
    assert api.ask("GET", "/customers").status == 200  # the key is known, and its use noted
    before = api.everything()
    with impatient(api):
        with everything_locked(api):
            answer = api.ask(method, path, body, headers=headers)
        assert (answer.status, answer.body["code"]) == (503, "api.busy"), answer.body
        assert int(answer.headers["retry-after"]) > 0
        assert api.everything() == before
    assert api.ask(method, path, body, headers=headers).status < 300


def test_a_request_that_met_the_lock_is_done_once_afterwards(api: Running) -> None:
    """Faults F06, F37: what failed leaves no trace under its Idempotency-Key."""
    headers = {"Idempotency-Key": "one"}
    api.ask("GET", "/customers")
    with impatient(api), everything_locked(api):
        assert api.ask("POST", "/events", ORDER, headers=headers).status == 503
    assert api.ask("POST", "/events", ORDER, headers=headers).status == 201
    assert api.ask("POST", "/events", ORDER, headers=headers).headers["idempotent-replayed"] == "true"
    assert len(api.rows(tables.event)) == 1


@pytest.mark.parametrize(("method", "path", "body"), WRITES[:3], ids=lambda value: str(value)[:20])
def test_a_full_disk_is_said_and_leaves_no_part(tmp_path: Path, method: str, path: str, body: object) -> None:
    """Fault F36: 507, no partial rows; reading goes on, and so does writing once there is room."""
    database = Database(f"sqlite:///{tmp_path / 'outbound.db'}")
    tables.metadata.create_all(database.engine)
    publish(database)
    large = "x" * 60_000
    with serve(database, KEYRING) as api:
        api.ask("GET", "/customers")
        engine = api.api.database.engine

        def full(connection: sa.Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")  # no page more than there are

        if path == "/events":
            body = {**ORDER, "data": {"order_id": large[:9_000]}}
        elif path == "/events/bulk":
            lines = [{**ORDER, "id": str(n), "data": {"order_id": large[:9_000]}} for n in range(40)]
            body = "\n".join(map(json.dumps, lines)).encode()
        else:
            body = {**TRIGGER, "data": {"what": large[:9_000]}}
            for number in range(40):
                with database.write() as connection:
                    row = {
                        "id": f"D-{number}",
                        "attributes": {},
                        "created_at": api.clock[0],
                        "updated_at": api.clock[0],
                    }
                    connection.execute(tables.customer.insert(), row)
            body["customers"] = [f"D-{number}" for number in range(40)]
        before = api.everything()
        sa.event.listen(engine, "begin", full, insert=True)
        headers = NDJSON if path.endswith("bulk") else {}
        answers = [api.ask(method, path, body, headers=headers) for _ in range(2)]
        assert {(one.status, one.body["code"]) for one in answers} == {(507, "api.full")}, answers
        assert api.everything() == before
        assert api.ask("GET", "/customers").status == 200
        sa.event.remove(engine, "begin", full)
        engine.dispose()
        assert api.ask(method, path, body, headers=headers).status < 300
    database.close()


def test_connections_that_others_hold_do_not_starve_the_api(api: Running) -> None:
    """Fault F41: the pool of the daemon is taken to the last one; the API has its own."""
    if api.database.is_sqlite:
        pytest.skip("on SQLite an idle reader holds nobody up")
    taken = [api.database.engine.connect() for _ in range(15)]
    try:
        for one in taken:
            one.exec_driver_sql("SELECT 1")  # in a transaction, idle
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(api.ask("POST", "/events", ORDER).status)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [201] * 8
    finally:
        for one in taken:
            one.close()


def test_its_own_pool_taken_to_the_last_is_an_answer_too(api: Running) -> None:
    """Fault F41: 503 after a bounded wait, never a request that hangs."""
    engine = api.api.database.engine
    pool = engine.pool
    most = pool.size() + pool._max_overflow  # type: ignore[attr-defined] # what SQLAlchemy calls it
    patience, pool._timeout = pool._timeout, 0.05  # type: ignore[attr-defined]
    api.ask("GET", "/customers")
    taken = [engine.connect() for _ in range(most)]
    try:
        answer = api.ask("POST", "/events", ORDER)
        assert (answer.status, answer.body["code"]) == (503, "api.busy")
    finally:
        for one in taken:
            one.close()
        pool._timeout = patience  # type: ignore[attr-defined]
    assert api.ask("POST", "/events", ORDER).status == 201


def test_a_database_that_answers_before_the_disk_has_it_is_not_served(database: Database) -> None:
    """Fault F16: asserted at the start of every process that answers HTTP."""
    database.require_durable()
    word = "PRAGMA synchronous = OFF" if database.is_sqlite else "SET synchronous_commit = off"

    def careless(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(word)
        cursor.close()
        if not database.is_sqlite:
            connection.commit()  # type: ignore[attr-defined]

    database.engine.dispose()
    sa.event.listen(database.engine, "connect", careless)
    with pytest.raises(ConfigurationError, match="before it is on disk"):
        database.require_durable()
