"""Fixtures shared by all tests: real databases, the real data folder, a keyring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from outbound.channels.email import mime
from outbound.domain.keyring import Keyring
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing import postgres

mime.READ_BACK_EVERY = 1  # every mail that a test makes is decoded again and compared
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server URL: OUTBOUND_TEST_POSTGRES where set, else one of our own, ended afterwards."""
    with postgres.postgres_server(in_memory=True) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'outbound.db'}"
        return
    with postgres.empty_database(request.getfixturevalue("postgres_server")) as url:
        yield url


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
