"""Asking about many customers in one statement, on both databases."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

T = TypeVar("T")

CHUNK = 5_000
"""How many ids one statement carries."""


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def among(connection: Connection, column: sa.ColumnElement[str], values: Sequence[str]) -> sa.ColumnElement[bool]:
    """``column`` is one of ``values``: one bound array, so that the statement is prepared once for any number."""
    if connection.dialect.name == "sqlite":
        listed = sa.func.json_each(sa.bindparam(None, json.dumps(list(values)), sa.Text)).table_valued("value")
        return column.in_(sa.select(sa.cast(listed.c.value, sa.Text)))
    return column == sa.any_(sa.bindparam(None, list(values), ARRAY(sa.Text)))


def among_bound(dialect: str, column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    """``among`` for a statement that is made once and used for every event: the values come with ``bound``."""
    if dialect == "sqlite":
        listed = sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value")
        return column.in_(sa.select(sa.cast(listed.c.value, sa.Text)))
    return column == sa.any_(sa.bindparam(name, type_=ARRAY(sa.Text)))


def bound(connection: Connection, values: Sequence[str]) -> str | list[str]:
    """The values of a parameter of ``among_bound``."""
    return json.dumps(list(values)) if connection.dialect.name == "sqlite" else list(values)


def insert_into(connection: Connection, target: sa.Table) -> Any:
    """An INSERT of the connection's own dialect, which can say what to do on a conflict."""
    return sqlite.insert(target) if connection.dialect.name == "sqlite" else postgresql.insert(target)
