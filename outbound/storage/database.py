"""One database, two dialects: transactions, the database's clock, and the settings durability needs."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy.engine import Connection, Engine, make_url

from outbound.domain.errors import ConfigurationError
from outbound.domain.lowercase import lower
from outbound.storage import prepared
from outbound.storage.hints import Give, note_nothing, noted
from outbound.storage.turns import Turn, wait_until

_BUSY_TIMEOUT_MS = 30_000
_CHECKPOINT_PAGES = 16_000
"""64 MB of log: whoever writes past that copies it into the database. ``checkpoint`` does so before, elsewhere."""
_CACHE_KILOBYTES, _SCRATCH_KILOBYTES = 16_000, 96_000
"""Pages kept in memory, by each connection; a scratch file has one, and a month of it is larger than the usual."""
IMMEDIATE = "BEGIN IMMEDIATE"
"""The execution option ``outbound_begin`` of a transaction that writes."""
_DURABLE = frozenset({"2", "3", "on", "remote_apply", "remote_write", "local"})
"""SQLite's FULL and EXTRA; on PostgreSQL everything that waits for the own disk."""


class Database:
    """Connections to SQLite or PostgreSQL (psycopg).

    ``read()`` gives a consistent snapshot, ``write()`` a transaction that commits at the end of the block
    and rolls back on any error. On SQLite every write begins with ``BEGIN IMMEDIATE``: a plain BEGIN that
    reads and then writes fails at once with SQLITE_BUSY_SNAPSHOT whatever the busy timeout.

    ``read_only``: the database itself refuses whatever would change it, also a file that only may be read.
    ``durable`` False is for a SQLite file that nobody needs after this process: nothing waits for the disk.
    ``wait``: for callers who cannot wait long: seconds until a lock, or a connection of the pool, is given up.
    """

    def __init__(self, url: str, *, read_only: bool = False, durable: bool = True, wait: float | None = None) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        elif parsed.get_backend_name() != "sqlite":
            message = f"database must be sqlite or postgresql, not {parsed.get_backend_name()}"
            raise ConfigurationError(message, 'write url = "sqlite:///outbound.db" in outbound.toml')
        self.url = parsed
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.read_only = read_only
        self.engine = (
            _sqlite_engine(parsed, read_only=read_only, durable=durable, wait=wait)
            if self.is_sqlite
            else _postgresql_engine(parsed, read_only=read_only, wait=wait)
        )
        self._reader = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._writer = self.engine.execution_options(outbound_begin=IMMEDIATE)
        self.give_hints: Give | None = None
        """Tells other processes what a transaction has left for them to look at, within it. None: nobody is told."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot for reading. Nothing written in it is kept."""
        with self._reader.connect() as connection:
            connection.begin()  # now, so that the first statement too may go straight to the driver
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when the block raises."""
        with self._writer.begin() as connection:
            note_nothing(connection)
            yield connection
            subjects = noted(connection)
            if self.give_hints is not None and subjects:
                self.give_hints(connection, subjects)

    def checkpoint(self) -> None:
        """Copy SQLite's log into the database file as far as readers allow; nobody waits for it.

        Called every few seconds by whoever runs for long, so that no commit has to do it.
        """
        if self.is_sqlite:
            with self.engine.connect() as connection:
                prepared.execute(connection, "PRAGMA wal_checkpoint(PASSIVE)")

    def require_durable(self) -> None:
        """Raise ConfigurationError unless what is committed survives a crash (promise P1)."""
        name = "PRAGMA synchronous" if self.is_sqlite else "SHOW synchronous_commit"
        with self.engine.connect() as connection:
            level = str(connection.exec_driver_sql(name).scalar_one())
        if level not in _DURABLE:
            message = f"a commit is answered before it is on disk ({name}: {level})"
            raise ConfigurationError(message, "set synchronous_commit = on for this database and its account")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def database_now(connection: Connection) -> datetime:
    """The database's clock (UTC). Leases live in it, so that machines with skewed clocks agree."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)  # the database runs in this process
    value: datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return value.astimezone(UTC)


def _sqlite_engine(url: sa.URL, *, read_only: bool, durable: bool, wait: float | None) -> Engine:
    patience = _BUSY_TIMEOUT_MS / 1000 if wait is None else wait
    if read_only:
        path = Path(url.database or "").resolve()
        engine = sa.create_engine(url, creator=lambda: _open_to_read(path, patience), poolclass=sa.QueuePool)
    else:
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url, connect_args={"timeout": patience}, **_pool(wait))

    @sa_event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # we write BEGIN ourselves
        cursor = dbapi_connection.cursor()
        if not read_only:
            cursor.execute("PRAGMA journal_mode = WAL")
            # Promise P1: an answered trigger survives power loss.
            cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
            cursor.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES if durable else _SCRATCH_KILOBYTES}")
        cursor.execute(f"PRAGMA busy_timeout = {patience * 1000:.0f}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
        dbapi_connection.create_function("outbound_lower", 1, _lower, deterministic=True)

    turn = Turn(_turn_file(url) if not read_only else None)

    @sa_event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        begin = str(connection.get_execution_options().get("outbound_begin", "BEGIN"))
        if begin != IMMEDIATE:
            if waits := connection.info.pop("waits", 0):
                prepared.execute(connection, f"PRAGMA busy_timeout = {waits}")
            prepared.execute(connection, begin)
            return
        with turn.taken():
            _begin_immediate(connection)

    return engine


def _turn_file(url: sa.URL) -> Path | None:
    if not url.database or url.database == ":memory:":
        return None
    path = Path(url.database)
    return path.with_name(f".{path.name}-turn")


def _begin_immediate(connection: Connection) -> None:
    """Look for SQLite's lock more often than SQLite does itself, for as long as it would; then its error is raised."""
    driver: Any = connection.connection.driver_connection
    busy: sqlite3.Error | None = None

    def begun() -> bool:
        nonlocal busy
        try:
            driver.execute(IMMEDIATE)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            busy = error
            return False
        return True

    try:
        if not wait_until(begun, seconds=_put_aside(connection) / 1000) and busy is not None:
            raise busy
    except sqlite3.Error as error:
        raise prepared.told(connection, IMMEDIATE, error) from error


def _put_aside(connection: Connection) -> int:
    """The milliseconds that the connection waits for a lock; until it only reads again, SQLite itself waits no more."""
    waits: int = prepared.execute(connection, "PRAGMA busy_timeout").fetchone()[0]
    if waits:
        prepared.execute(connection, "PRAGMA busy_timeout = 0")
        connection.info["waits"] = waits
    return int(connection.info.get("waits", 0))


def _open_to_read(path: Path, timeout: float) -> sqlite3.Connection:
    """The file opened so that SQLite itself writes nothing into it.

    A file in a folder that only may be read, with no log beside it, has no place for the log's index: nobody can be
    writing it either, and it is read as it is.
    """

    def connect(how: str) -> sqlite3.Connection:
        uri = f"{path.as_uri()}?{how}"
        connection = sqlite3.connect(uri, uri=True, timeout=timeout, check_same_thread=False)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        return connection

    try:
        return connect("mode=ro")
    except sqlite3.OperationalError:
        if not path.is_file() or Path(f"{path}-wal").exists():
            raise
        return connect("immutable=1")


def _lower(value: object) -> object:
    """``lower()`` of conditions: SQLite's own knows ASCII only."""
    return lower(value) if isinstance(value, str) else value


def _postgresql_engine(url: sa.URL, *, read_only: bool, wait: float | None) -> Engine:
    options = "-c timezone=UTC" + (" -c default_transaction_read_only=on" if read_only else "")
    connect: dict[str, Any] = {"options": options}
    if wait is not None:
        # a statement that only works may take longer than one that waits
        options += f" -c lock_timeout={wait * 1000:.0f} -c statement_timeout={wait * 6000:.0f}"
        connect = {"options": options, "connect_timeout": max(2, round(wait))}
    # The connection that was used last: its server process has the plans and the catalogue at hand.
    return sa.create_engine(
        url, pool_size=10, pool_pre_ping=True, pool_use_lifo=True, connect_args=connect, **_pool(wait)
    )


def _pool(wait: float | None) -> dict[str, Any]:
    return {} if wait is None else {"pool_timeout": wait}
