"""A served API with a shop of two customers, on both databases; started once and emptied for each test."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from api_kit import KEYRING, Running, Shared, publish, serve

from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing import postgres


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The API, served over a database of its own."""
    if request.param == "sqlite":
        with _shared(f"sqlite:///{tmp_path_factory.mktemp('api') / 'outbound.db'}") as shared:
            yield shared
        return
    with postgres.empty_database(request.getfixturevalue("postgres_server")) as url, _shared(url) as shared:
        yield shared


@contextmanager
def _shared(url: str) -> Iterator[Shared]:
    database = Database(url)
    tables.metadata.create_all(database.engine)
    publish(database)
    try:
        with serve(database, KEYRING) as running:
            yield Shared(running)
    finally:
        database.close()


@pytest.fixture
def api(served: Shared) -> Running:
    """C-1 and C-2 have an e-mail address each."""
    return served.fresh()
