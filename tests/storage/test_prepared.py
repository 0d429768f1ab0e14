"""Statements that go straight to SQLite's driver: the same answers, the same errors, the same transactions."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from outbound.storage.bulk import insert_ignore
from outbound.storage.database import Database
from outbound.storage.prepared import Prepared, execute
from outbound.storage.tables import installation

NAMED = Prepared(sa.select(installation.c.value).where(installation.c.name == sa.bindparam("name")))


def test_a_failed_write_is_undone_with_its_transaction(database: Database) -> None:
    """What the driver was given directly belongs to SQLAlchemy's transaction, also the first statement of one."""

    def write() -> None:
        with database.write() as connection:
            insert_ignore(connection, installation, ("name", "value"), [("a", "1")])
            assert [tuple(row) for row in NAMED.rows(connection, {"name": "a"})] == [("1",)]
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        write()
    with database.read() as connection:
        assert list(NAMED.rows(connection, {"name": "a"})) == []


def test_instants_are_converted(database: Database) -> None:
    """A parameter and a column of type datetime are what SQLAlchemy would have made of them."""
    now = datetime(2026, 11, 4, 9, tzinfo=UTC)
    at = sa.bindparam("at", type_=sa.DateTime(timezone=True))
    statement = sa.select(sa.cast(at, sa.DateTime(timezone=True)) if not database.is_sqlite else at)
    with database.read() as connection:
        expected = connection.execute(statement, {"at": now}).scalar_one()
        assert Prepared(statement).rows(connection, {"at": now})[0][0] == expected


def test_errors_are_sqlalchemys_and_name_no_values(tmp_path: Path) -> None:
    """Who catches OperationalError catches these too; what a customer is called stays out of the text."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.read() as connection, pytest.raises(sa.exc.OperationalError) as caught:
        execute(connection, "SELECT ? FROM nothing", ["secret"])
    database.close()
    assert "secret" not in str(caught.value)


def test_a_checkpoint_empties_the_log(tmp_path: Path) -> None:
    """After it the database file alone holds what was committed."""
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t AS SELECT hex(randomblob(200000)) AS data")
    before = path.stat().st_size
    database.checkpoint()
    assert before < 400_000 < path.stat().st_size
    database.close()
