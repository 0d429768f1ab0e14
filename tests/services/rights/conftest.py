"""One person with everything that can be on record about them, and one who must stay untouched."""

import pytest
from rights_world import World, make_world

from outbound.domain.keyring import Keyring
from outbound.storage.database import Database


@pytest.fixture
def world(database: Database, keyring: Keyring) -> World:
    """``lisa`` with a row in every table that can know her, and ``ben``."""
    return make_world(database, keyring)
