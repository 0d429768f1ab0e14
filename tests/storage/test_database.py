"""The database does what durability and concurrency need, on both dialects."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from outbound.storage import tables
from outbound.storage.database import Database, database_now


def test_a_failed_write_leaves_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(tables.installation.insert(), {"name": "a", "value": "b"})
        raise RuntimeError
    with database.read() as connection:
        assert connection.execute(sa.select(tables.installation)).all() == []


def test_durability_settings_are_on(database: Database) -> None:
    """Promise P1: WAL with synchronous FULL on SQLite, synchronous_commit on in PostgreSQL (fault F16)."""
    with database.read() as connection:
        if database.is_sqlite:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_instants_come_back_as_they_went_in(database: Database) -> None:
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    row = {"id": "d", "host": "h", "pid": 1, "version": "v", "started_at": moment, "seen_at": moment}
    with database.write() as connection:
        connection.execute(tables.daemon.insert(), row)
        assert abs((database_now(connection) - datetime.now(UTC)).total_seconds()) < 60
    with database.read() as connection:
        assert connection.execute(sa.select(tables.daemon.c.seen_at)).scalar_one() == moment


def test_a_database_opened_to_read_refuses_every_change(database: Database, database_url: str) -> None:
    row = {"name": "a", "value": "b"}
    with database.write() as connection:
        connection.execute(tables.installation.insert(), row)
    reader = Database(database_url, read_only=True)
    try:
        with reader.read() as connection:
            assert connection.execute(sa.select(tables.installation.c.value)).scalar_one() == "b"
        with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"), reader.write() as connection:
            connection.execute(tables.installation.insert(), {"name": "c", "value": "d"})
    finally:
        reader.close()


def test_a_file_is_not_touched_by_reading_it(tmp_path: Path) -> None:
    """Not even where the journal mode would have to be written."""
    path = tmp_path / "copy.db"
    made = Database(f"sqlite:///{path}")
    tables.metadata.create_all(made.engine)
    made.close()
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    reader = Database(f"sqlite:///{path}", read_only=True)
    with reader.read() as connection:
        assert connection.execute(sa.select(tables.installation)).all() == []
    reader.close()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    with pytest.raises(sa.exc.OperationalError):
        Database(f"sqlite:///{tmp_path / 'nowhere.db'}", read_only=True).engine.connect()
    assert not (tmp_path / "nowhere.db").exists()
