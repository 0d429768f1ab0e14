"""Hints between processes: with the rows or not at all, to one process, nothing personal, and not for ever lost."""

import asyncio
from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy as sa
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.settings import DBSettings, Durability

from outbound.domain.message import Lane
from outbound.runtime import fleet
from outbound.runtime.failures import Failures
from outbound.runtime.fleet import Line
from outbound.runtime.hints import carry
from outbound.storage import hints, schema
from outbound.storage.database import Database
from outbound.storage.hints import Subject
from outbound.testing.postgres import empty_database

_PATIENCE = 20.0


@pytest.fixture
def fleet_database(postgres_server: str) -> Iterator[Database]:
    """A PostgreSQL as migrations make it, whose writers give hints."""
    with empty_database(postgres_server) as url:
        database = carry(Database(url))
        schema.migrate(database)
        try:
            yield database
        finally:
            database.close()


def jobs(database: Database) -> list[tuple[str, int, object, object]]:
    with database.read() as connection:
        query = "SELECT entrypoint, priority, payload, headers FROM pgqueuer ORDER BY priority DESC"
        return [tuple(row) for row in connection.execute(sa.text(query))]


def leave(database: Database, *subjects: Subject | Lane) -> None:
    with database.write() as connection:
        for one in subjects:
            hints.note(connection, one)


def test_hints_are_written_with_the_rows_or_not_at_all(fleet_database: Database) -> None:
    """They name a kind of work and nobody: no payload, no headers. Express is looked to first."""
    database = fleet_database

    def fail() -> None:
        with database.write() as connection:
            hints.note(connection, Subject.BULK)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    leave(database)
    assert jobs(database) == [], "the failed transaction's note is not the next one's"
    leave(database, Subject.BULK, Subject.EVENTS, Lane.EXPRESS)
    assert jobs(database) == [("express", 1, None, None), ("bulk", 0, None, None)], "an event is told, without a job"


def test_a_process_repeats_no_hint_within_a_moment(fleet_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever took the first looks for longer than that: thousands of messages a second are two hints a second."""
    for _ in range(5):
        leave(fleet_database, Subject.EXPRESS)
    assert len(jobs(fleet_database)) == 1
    monkeypatch.setattr(fleet, "QUIET_SECONDS", 0.0)
    leave(fleet_database, Subject.EXPRESS)
    assert len(jobs(fleet_database)) == 2


def test_sqlite_needs_no_hints() -> None:
    database = carry(Database("sqlite:///:memory:"))
    assert database.give_hints is None
    database.close()


def test_the_tables_are_those_of_the_installed_pgqueuer(fleet_database: Database) -> None:
    """A release of PgQueuer with other tables needs a migration: its own plan of an upgrade is empty."""

    async def statements() -> object:
        _, options = fleet_database.engine.dialect.create_connect_args(fleet_database.url)
        async with await psycopg.AsyncConnection.connect(autocommit=True, **options) as connection:
            queries = Queries(PsycopgDriver(connection))
            queries.qbe.settings = DBSettings(durability=Durability.volatile)
            plan = await queries.plan_upgrade()
            return tuple(plan.statements)

    assert asyncio.run(statements()) == ()


def test_one_hears_a_hint_all_are_told_of_an_event_and_a_broken_line_is_opened_again(
    fleet_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F38: the connections of all lines are ended as a restart of the database ends them."""
    monkeypatch.setattr(fleet, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(fleet, "_AGAIN_SECONDS", 0.05)
    heard: list[str] = []
    told: list[str] = []

    async def come_told() -> None:
        async with asyncio.timeout(_PATIENCE):
            while set(told) != {"one", "two"}:  # a line that is being opened again misses what is told meanwhile
                await asyncio.to_thread(leave, fleet_database, Subject.EVENTS)
                await asyncio.sleep(0.01)

    def ears(name: str) -> dict[Subject, Callable[[], None]]:
        return {Subject.EXPRESS: lambda: heard.append(name), Subject.EVENTS: lambda: told.append(name)}

    async def main() -> None:
        stopping = asyncio.Event()
        lines = [Line(fleet_database, ears(name), Failures()) for name in ("one", "two")]
        listening = [asyncio.create_task(line.listen(stopping)) for line in lines]
        await asyncio.to_thread(leave, fleet_database, Subject.EXPRESS)
        await come(lambda: len(heard) == 1 and not jobs(fleet_database))
        with fleet_database.write() as connection:
            ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = :name"
            assert connection.execute(sa.text(ended), {"name": "outbound hints"}).scalar_one() == 4
        await asyncio.to_thread(leave, fleet_database, Subject.EXPRESS)
        await come(lambda: len(heard) == 2 and not jobs(fleet_database))
        await come_told()
        await lines[0].tidy()
        stopping.set()
        await asyncio.gather(*listening)

    asyncio.run(main())
    with fleet_database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM pgqueuer_log")).scalar_one() == 0


async def come(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not condition():  # noqa: ASYNC110 - it asks the database
            await asyncio.sleep(0.01)
