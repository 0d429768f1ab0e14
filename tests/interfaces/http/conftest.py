"""The site that most tests here ask."""

from collections.abc import Iterator

import pytest
from site_kit import Running, add_customer, publish, serve

from outbound.domain.keyring import Keyring
from outbound.storage.database import Database


@pytest.fixture
def site(database: Database, keyring: Keyring) -> Iterator[Running]:
    """The shipped release with one customer, on both databases."""
    publish(database)
    add_customer(database)
    with serve(database, keyring) as running:
        yield running
