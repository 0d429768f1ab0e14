"""Where an import waits before it is merged: temporary tables of one connection, filled without locking anybody."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.engine import Connection

from outbound.storage.database import IMMEDIATE, Database

CUSTOMER: Final = (
    "line",
    "id",
    "country",
    "language",
    "timezone",
    "preferred_channel",
    "quiet_from",
    "quiet_to",
    "pause_from",
    "pause_to",
    "frequency",
    "email",
    "email_hash",
    "sms",
    "sms_hash",
    "sms_state",
    "zone_source",
    "attributes",
)
"""Columns of ``stage_customer``: NULL is untouched, an empty text clears, ``attributes`` is an RFC 7396 merge patch."""

CONSENT: Final = ("line", "id", "customer_id", "topic", "channel", "state", "confirmed", "at", "evidence")
"""Columns of ``stage_consent``; ``confirmed`` is 1 where the consent belongs to the address."""

EVENT: Final = ("line", "id", "customer_id", "at", "data")
REHASH: Final = ("old", "new", "channel")
"""Columns of ``stage_rehash``: an address's hash under an older key, and under the newest."""

_STAGED: Final = {"stage_customer": CUSTOMER, "stage_consent": CONSENT, "stage_event": EVENT, "stage_rehash": REHASH}
_WORKING: Final = {
    "stage_consent": ("address",),
    "stage_change": ("customer_id", "attribute", "old_json", "new_json"),
    "stage_outside": ("segment", "customer_id", "waiting"),
    "stage_entry": ("segment", "customer_id"),
}
"""Columns and tables that the merge fills itself."""

_TYPES: Final = {
    "line": ("INTEGER", "BIGINT"),
    "confirmed": ("INTEGER", "INTEGER"),
    "waiting": ("INTEGER", "BIGINT"),
    "at": ("TEXT", "TIMESTAMPTZ"),
    "attributes": ("TEXT", "JSONB"),
    "evidence": ("TEXT", "JSONB"),
    "data": ("TEXT", "JSONB"),
    "old_json": ("TEXT", "JSONB"),
    "new_json": ("TEXT", "JSONB"),
}

_CACHE_KILOBYTES = 2_000


class Stage:
    """One connection with empty staging tables. SQLite's temporary tables live outside the database file."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        if self.is_sqlite:  # each row is read about once: a large cache would only grow with the file
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")
        for name in _STAGED | _WORKING:
            columns = (*_STAGED.get(name, ()), *_WORKING.get(name, ()))
            typed = ", ".join(f'"{c}" {_TYPES.get(c, ("TEXT", "TEXT"))[0 if self.is_sqlite else 1]}' for c in columns)
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ({typed})")

    def add(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Stage rows, values in the order of the table's columns: executemany on SQLite, COPY on PostgreSQL."""
        columns = _STAGED[table]
        names = ",".join(f'"{c}"' for c in columns)
        cursor = self.connection.connection.cursor()
        try:
            if self.is_sqlite:
                marks = ",".join("?" * len(columns))
                cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            else:
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
        finally:
            cursor.close()

    @contextmanager
    def merging(self, *, keep: bool) -> Iterator[Connection]:
        """The one transaction that merges the stage; undone at the end unless ``keep``.

        What was staged stays staged. Imports merge one after the other, also on PostgreSQL.
        """
        self.connection.commit()
        self.connection.execution_options(outbound_begin=IMMEDIATE)
        with self.connection.begin() as transaction:
            if not self.is_sqlite:
                self.connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('outbound.import'))")
                for name in _STAGED:
                    self.connection.exec_driver_sql(f"ANALYZE {name}")
            yield self.connection
            if not keep:
                transaction.rollback()


@contextmanager
def staging(database: Database) -> Iterator[Stage]:
    """A stage on a connection of its own; the tables are gone when the block ends."""
    connection = database.engine.connect()
    try:
        yield Stage(connection)
    finally:
        connection.rollback()
        connection.invalidate()
        connection.close()
