"""Statements made once and, on SQLite, given to the driver itself: an event must not cost more than its disk.

Measured for one event of 35 statements: SQLAlchemy's part of each took 20 to 60 microseconds, SQLite's 4. On
PostgreSQL, where a round trip costs more than either, statements go the usual way.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

_Convert = Callable[[Any], Any] | None


class Prepared:
    """One statement with named parameters, for one dialect. Types are converted as SQLAlchemy converts them."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._text = ""
        self._parameters: Sequence[tuple[str, Any, _Convert]] = ()
        self._columns: Sequence[tuple[int, Callable[[Any], Any]]] = ()

    def rows(self, connection: Connection, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Every row, to be read by position."""
        if not _direct(connection):
            return connection.execute(self._statement, values or {}).all()
        found = self._run(connection, values or {}).fetchall()
        if not self._columns:
            return found
        return [self._read(list(row)) for row in found]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> None:
        """Run a statement that answers nothing."""
        if _direct(connection):
            self._run(connection, values)
        else:
            connection.execute(self._statement, values)

    def run_all(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run a statement that answers nothing once for each of ``rows``; how many rows of the table it touched."""
        if not _direct(connection):
            return connection.execute(self._statement, rows).rowcount
        if not self._text:
            self._compile(connection.dialect)
        columns = [
            _converted([row.get(name, default) for row in rows], convert) for name, default, convert in self._parameters
        ]
        return insert_all(connection, self._text, list(zip(*columns, strict=True)))

    def _run(self, connection: Connection, values: Mapping[str, Any]) -> sqlite3.Cursor:
        if not self._text:
            self._compile(connection.dialect)
        bound = [
            convert(values.get(name, default)) if convert else values.get(name, default)
            for name, default, convert in self._parameters
        ]
        return execute(connection, self._text, bound)

    def _read(self, row: list[Any]) -> list[Any]:
        for place, convert in self._columns:
            row[place] = convert(row[place])
        return row

    def _compile(self, dialect: Dialect) -> None:
        compiled = self._statement.compile(dialect=dialect)
        if isinstance(self._statement, sa.Select):
            readers = [
                (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
                for place, column in enumerate(self._statement.selected_columns)
            ]
            self._columns = [(place, reader) for place, reader in readers if reader is not None]
        self._parameters = [
            (name, compiled.params.get(name), _binder(compiled, name, dialect)) for name in compiled.positiontup
        ]
        self._text = str(compiled)


def execute(connection: Connection, text: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
    """Give one statement to SQLite's driver. Its errors are raised as SQLAlchemy's, without the values."""
    driver: Any = connection.connection.driver_connection
    try:
        cursor: sqlite3.Cursor = driver.execute(text, values)
    except sqlite3.Error as error:
        raise told(connection, text, error) from error
    return cursor


def insert_all(connection: Connection, text: str, rows: Sequence[Sequence[Any]]) -> int:
    """Run an INSERT once for each row, its values in the order of the statement; how many rows it inserted."""
    if not _direct(connection):
        return connection.exec_driver_sql(text, [tuple(row) for row in rows]).rowcount
    driver: Any = connection.connection.driver_connection
    try:
        inserted: int = driver.executemany(text, rows).rowcount
    except sqlite3.Error as error:
        raise told(connection, text, error) from error
    return inserted


def told(connection: Connection, text: str, error: sqlite3.Error) -> BaseException:
    """The driver's error as SQLAlchemy's, without the values."""
    return sa.exc.DBAPIError.instance(text, (), error, sqlite3.Error, dialect=connection.dialect)


def _direct(connection: Connection) -> bool:
    """The first statement of a transaction goes through SQLAlchemy, which begins it."""
    return connection.dialect.name == "sqlite" and connection.in_transaction()


def _converted(values: list[Any], convert: _Convert) -> list[Any]:
    """The values of one column; one that stands in many rows, such as the moment of all, is converted once."""
    if convert is None:
        return values
    known: dict[int, Any] = {}
    found = []
    for value in values:
        if id(value) not in known:
            known[id(value)] = convert(value)
        found.append(known[id(value)])
    return found


def _binder(compiled: Any, name: str, dialect: Dialect) -> _Convert:
    parameter = compiled.binds.get(name)
    found: _Convert = None if parameter is None else parameter.type.dialect_impl(dialect).bind_processor(dialect)
    return found
