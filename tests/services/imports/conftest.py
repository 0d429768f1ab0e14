"""Fixtures of the import tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from import_shop import Shop

from outbound.domain.keyring import Keyring
from outbound.services.imports.report import ImportReport
from outbound.storage.database import Database


@pytest.fixture
def shop(database: Database, keyring: Keyring, tmp_path: Path) -> Shop:
    """An empty shop, on SQLite and on PostgreSQL."""
    return Shop(database, keyring, tmp_path)


@pytest.fixture
def remarks_of() -> Callable[[ImportReport], list[tuple[int, str, str]]]:
    """Line, column and reason of everything the report remarked."""
    return lambda report: [(r.line, r.column, r.reason) for r in report.samples]
