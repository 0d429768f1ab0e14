"""One change for each of many rows: on SQLite row by row through the driver, on PostgreSQL one statement for all.

Measured on PostgreSQL for the beginning of a hundred attempts, client's processor: row by row 153 microseconds a
message, as arrays 127, as one JSON document 70.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.engine import Connection

from outbound.storage.prepared import Prepared

Values = Mapping[str, sa.ColumnElement[Any]]


class ForEach:
    """A statement over the values of a row, given by name with their types.

    ``build`` gets a column or a parameter for each name and answers an UPDATE, or an INSERT from a SELECT of them.
    """

    def __init__(
        self, dialect: str, types: Mapping[str, Any], build: Callable[[Values], sa.Update | sa.Insert]
    ) -> None:
        self._set: sa.Update | sa.Insert | None = None
        if dialect == "sqlite":
            self._alone = Prepared(build({name: sa.bindparam(name, type_=kind) for name, kind in types.items()}))
            return
        columns = (sa.column(name, kind) for name, kind in types.items())
        listed = sa.cast(sa.bindparam("b_rows", type_=sa.Text), JSON)
        rows = sa.func.json_to_recordset(listed).table_valued(*columns).render_derived(with_types=True)
        self._set = build({name: rows.c[name] for name in types})

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Make the change for each of ``rows``."""
        if self._set is None:
            self._alone.run_all(connection, rows)
        elif rows:
            connection.execute(self._set, {"b_rows": json.dumps(rows, default=datetime.isoformat)})
