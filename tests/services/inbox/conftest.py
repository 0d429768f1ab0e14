"""A provider's post on both databases, with the shipped release."""

from pathlib import Path

import pytest
from inbox_kit import Post, active_release, add_customer

from outbound.domain.keyring import Keyring
from outbound.services.releases import Active
from outbound.storage.database import Database


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Active:
    folder: Path = tmp_path_factory.mktemp("release")
    return active_release(folder)


@pytest.fixture
def post(database: Database, keyring: Keyring, shipped: Active) -> Post:
    add_customer(database, keyring)
    return Post(database, keyring, shipped)
