"""Many rows at once, as tuples: what SQLAlchemy's per-row work costs too much for in planning.

Measured: 20,000 rows of 12 columns by ``connection.execute(insert, dicts)`` took 4 times as long as tuples
given to the driver.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.prepared import insert_all
from outbound.storage.tables.base import Json


def instant_writer(connection: Connection) -> Callable[[datetime], Any]:
    """How this database's driver wants an aware instant: the text SQLAlchemy stores on SQLite, a datetime else."""
    if connection.dialect.name != "sqlite":
        return lambda at: at
    written: dict[datetime, str] = {}  # the rows of a batch share most of their instants

    def write(at: datetime) -> str:
        text = written.get(at)
        if text is None:
            text = written[at] = at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        return text

    return write


def json_text(value: Any) -> str:
    """JSON as both drivers take it."""
    return _encode(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # json.dumps makes one for each call


def insert_ignore(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> int:
    """Insert ``rows`` (values in the order of ``columns``); rows whose key exists are left as they are.

    Instants go through ``instant_writer``, JSON through ``json_text``. Answers how many rows were inserted.
    """
    parameters = [tuple(row) for row in rows]
    if not parameters:
        return 0
    return insert_all(connection, _insert(table, tuple(columns), connection.dialect.name), parameters)


@cache
def _insert(table: sa.Table, columns: tuple[str, ...], dialect: str) -> str:
    marks = ", ".join("?" if dialect == "sqlite" else _postgresql_mark(table.c[name]) for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING'


COPY_FROM = 50
"""Rows from which PostgreSQL's COPY, with the savepoint it needs, is cheaper than INSERT."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copies(connection: Connection, count: int) -> bool:
    """Whether ``count`` rows should go through ``copy_lines``."""
    return count >= COPY_FROM and connection.dialect.name == "postgresql"


def copy_text(value: object) -> str:
    """One value as COPY reads it: text, numbers, instants (with their offset) and None."""
    if isinstance(value, str):
        return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def copy_lines(connection: Connection, table: sa.Table, columns: Sequence[str], lines: Sequence[str]) -> bool:
    """Insert rows the fastest way PostgreSQL has; False, and nothing is inserted, when the key of one is taken.

    A line is the ``copy_text`` of its values, tabs between them, without an end.
    """
    from psycopg.errors import UniqueViolation  # noqa: PLC0415 - SQLite alone does without the driver

    names = ", ".join(f'"{name}"' for name in columns)
    try:
        with connection.begin_nested():
            driver = connection.connection.cursor()
            with driver.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
                copy.write("\n".join((*lines, "")))
    except UniqueViolation:
        return False
    return True


def _postgresql_mark(column: sa.Column[Any]) -> str:
    return "%s::jsonb" if column.type is Json else "%s"
