"""Which files were imported, when, and what came of them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.tables import import_batch


def record(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep the sums of one import, in the transaction that merges it."""
    connection.execute(sa.insert(import_batch).values(**row))
