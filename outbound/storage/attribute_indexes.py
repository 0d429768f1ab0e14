"""Indexes on single attributes of the customers' document, for attributes declared with ``index: true``.

The expression is the one that conditions use (``storage.condition_dialects``). Its hash is part of the index's
name: an attribute of another type, or another version of this program, makes another index and drops the old one.
"""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.condition import ValueType
from outbound.domain.ids import content_hash
from outbound.storage.condition_dialects import DIALECTS
from outbound.storage.tables import customer

_PREFIX: Final = "ix_attribute_"
_LONGEST: Final = 40  # of a name in the index's name: PostgreSQL cuts names at 63 bytes
_HASH: Final = 8

_LISTED: Final = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'customer'",
    "postgresql": "SELECT indexname FROM pg_indexes WHERE tablename = 'customer' AND schemaname = current_schema()",
}


def bring(connection: Connection, attributes: Iterable[tuple[str, ValueType]]) -> None:
    """Make the indexes on these attributes (name and type) and drop every other that was made here.

    On PostgreSQL writers of customers wait while an index is built: some seconds for a million.
    """
    wanted = {}
    for name, kind in attributes:
        expression = _expression(connection, name, kind)
        label = f"{_PREFIX}{name[:_LONGEST]}_{content_hash(f'{name} {expression}'.encode())[:_HASH]}"
        wanted[label] = expression
    there = names(connection)
    for label in sorted(there - wanted.keys()):
        connection.exec_driver_sql(f'DROP INDEX IF EXISTS "{label}"')
    for label in sorted(wanted.keys() - there):
        # the id behind it: key ranges of one value come in order
        connection.exec_driver_sql(f'CREATE INDEX IF NOT EXISTS "{label}" ON customer (({wanted[label]}), id)')


def names(connection: Connection) -> set[str]:
    """The indexes that were made here."""
    listed = connection.exec_driver_sql(_LISTED[connection.dialect.name]).scalars()
    return {name for name in listed if name.startswith(_PREFIX)}


def _expression(connection: Connection, name: str, kind: ValueType) -> str:
    document = sa.column("attributes", customer.c.attributes.type)  # an index names columns without their table
    expression = DIALECTS[connection.dialect.name].indexed(document, name, kind)
    return str(expression.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
