"""Asking for the groups of customers costs as much as there are groups, however many customers there are."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from outbound.storage import audience
from outbound.storage.database import Database
from outbound.storage.tables import customer

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PAIRS = [
    ("", None),
    ("", "IT"),
    ("country:IT", "IT"),
    ("tz:Europe/Rome", None),
    ("tz:Europe/Rome", "CH"),
    ("tz:Europe/Rome", "IT"),
    ("tz:Asia/Tokyo", "JP"),
]


def _fill(database: Database, pairs: list[tuple[str, str | None]], each: int) -> None:
    stamp = {"attributes": {}, "created_at": NOW, "updated_at": NOW}
    rows: list[dict[str, Any]] = [
        {"id": f"{number}-{n}", "zone_source": source, "country": country, **stamp}
        for number, (source, country) in enumerate(pairs)
        for n in range(each)
    ]
    with database.write() as connection:
        connection.execute(sa.insert(customer), rows)
        connection.exec_driver_sql("ANALYZE customer")


def _expected(pairs: list[tuple[str, str | None]]) -> list[tuple[str, str]]:
    return sorted((source, country or "") for source, country in pairs)


def test_each_pair_of_zone_and_country_is_found_once(database: Database) -> None:
    with database.read() as connection:
        assert audience.zone_sources_by_country(connection) == []
    _fill(database, PAIRS, 3)
    with database.read() as connection:
        assert sorted(audience.zone_sources_by_country(connection)) == _expected(PAIRS)
        assert sorted(audience.zone_sources(connection)) == sorted({source for source, _ in PAIRS})


def test_the_pairs_are_read_from_the_index_alone(database: Database) -> None:
    """A scan of the table on every tick would grow with it."""
    _fill(database, PAIRS, 2_000)
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    for statement in (audience._PAIRS, audience._SOURCES):
        with database.read() as connection:
            plan = [str(row[-1]) for row in connection.execute(sa.text(explain + statement.text))]
        steps = [step for step in plan if "customer" in step]
        assert steps
        for step in steps:
            assert "ix_customer_zone" in step
            assert not step.startswith("SCAN")
