"""A copy of a database in a SQLite file of its own, taken without writing to the original.

A SQLite file is copied by its backup API, a PostgreSQL database table by table out of one snapshot. Both see what
was committed when the copy began, whatever goes on meanwhile.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from outbound.domain.errors import OutboundError
from outbound.storage import tables
from outbound.storage.database import Database

Progress = Callable[[float], None]
"""Told how much of the copy is done, from 0 to 1."""

_PAGES = 4_000
"""SQLite pages (16 MB) between two words of progress."""
_ROWS = 5_000
_LEFT_OUT = frozenset({"manifest", "operation", "daemon", "import_batch", "account_rate", "breaker"})
"""What says nothing about messages to come."""
_VERSION = "alembic_version"


def copy(url: str, target: Path, *, progress: Progress = lambda _: None) -> None:
    """Copy the database at ``url`` into the new SQLite file ``target``.

    Raises OutboundError ``database.missing`` where there is no such SQLite file.
    """
    parsed = make_url(url)
    file = Path(parsed.database or "")
    if parsed.get_backend_name() == "sqlite" and not file.is_file():
        raise OutboundError("database.missing", f"there is no database {file}", "run `outbound migrate`")
    source = Database(url, read_only=True)
    try:
        if source.is_sqlite:
            _backup(source, target, progress)
        else:
            _copy_tables(source, target, progress)
    finally:
        source.close()


def _backup(source: Database, target: Path, progress: Progress) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        progress(1 - remaining / max(total, 1))

    with source.engine.connect() as reading, closing(sqlite3.connect(target)) as writing:
        writing.execute("PRAGMA synchronous = OFF")
        driver: Any = reading.connection.driver_connection
        driver.backup(writing, pages=_PAGES, progress=told)


def _copy_tables(source: Database, target: Path, progress: Progress) -> None:
    scratch = Database(f"sqlite:///{target}", durable=False)
    wanted = [table for table in tables.metadata.sorted_tables if table.name not in _LEFT_OUT]
    try:
        tables.metadata.create_all(scratch.engine)
        with source.read() as reading, scratch.write() as writing:
            writing.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            _copy_version(reading, writing)
            for number, table in enumerate(wanted):
                _copy_table(reading, writing, table)
                progress((number + 1) / len(wanted))
    finally:
        scratch.close()


def _copy_table(reading: Connection, writing: Connection, table: sa.Table) -> None:
    found = reading.execution_options(yield_per=_ROWS).execute(sa.select(table))
    for rows in found.mappings().partitions(_ROWS):
        writing.execute(table.insert(), [dict(row) for row in rows])


def _copy_version(reading: Connection, writing: Connection) -> None:
    if not sa.inspect(reading).has_table(_VERSION):
        return
    writing.exec_driver_sql(f"CREATE TABLE {_VERSION} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    for (number,) in reading.exec_driver_sql(f"SELECT version_num FROM {_VERSION}").all():
        writing.execute(sa.text(f"INSERT INTO {_VERSION} VALUES (:number)"), {"number": number})
