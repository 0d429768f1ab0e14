"""The database a forecast works in: a SQLite file in a private folder that goes when the forecast is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from outbound.storage import outbox_claims, tables
from outbound.storage.copying import Progress, copy
from outbound.storage.database import Database, database_now
from outbound.storage.schema import require_current

_FILE = "scratch.db"
_A_DAY = timedelta(days=1)


@contextmanager
def copied(url: str, *, progress: Progress = lambda _: None) -> Iterator[Database]:
    """A copy of the database at ``url``, which is only read. Interrupted or not, nothing stays behind.

    What the workers of the original had in hand waits again in the copy, and its accounts are not paused.
    Raises OutboundError ``schema.old`` or ``schema.newer``, and what ``storage.copying.copy`` raises.
    """
    with _folder() as folder:
        copy(url, folder / _FILE, progress=progress)
        database = Database(f"sqlite:///{folder / _FILE}", durable=False)
        try:
            require_current(database)
            with database.write() as connection:
                end = database_now(connection) + _A_DAY
                while outbox_claims.recover_expired(
                    connection, lease_now=end, now=database_now(connection), resend_delay=timedelta()
                ).ready:
                    pass
                connection.execute(tables.breaker.delete())
            yield database
        finally:
            database.close()


@contextmanager
def empty() -> Iterator[Database]:
    """A database with every table and nothing in it."""
    with _folder() as folder:
        database = Database(f"sqlite:///{folder / _FILE}", durable=False)
        try:
            tables.metadata.create_all(database.engine)
            yield database
        finally:
            database.close()


@contextmanager
def _folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="outbound-scratch-") as name:
        yield Path(name)
