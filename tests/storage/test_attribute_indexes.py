"""``index: true`` makes an index, and the conditions and date triggers that ask about the attribute find it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from outbound.domain.condition import ValueType
from outbound.domain.rule import Field, Schema
from outbound.domain.source import Span
from outbound.engine.conditions import Scope, compile_clause
from outbound.engine.timing.zones import zone_named
from outbound.storage import attribute_indexes, audience, tables
from outbound.storage.audience import Members
from outbound.storage.conditions import clause_sql
from outbound.storage.database import Database

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TYPES = {
    "plan": ValueType.ENUM,
    "city": ValueType.STRING,
    "renewal_date": ValueType.DATE,
    "points": ValueType.NUMBER,
    "adult": ValueType.BOOL,
}
SCOPE = Scope(
    schema=Schema(
        customer={
            name: Field(type=kind, values=("free", "pro") if kind is ValueType.ENUM else ())
            for name, kind in TYPES.items()
        },
        events={},
    )
)


@pytest.fixture
def filled(database: Database) -> Iterator[sa.Connection]:
    """Three thousand customers of whom few are alike, with an index on every attribute."""
    rows = [
        {
            "id": f"c{number:05}",
            "zone_source": "",
            "attributes": {
                "plan": "pro" if number % 1000 == 0 else "free",
                "city": f"city {number}",
                "renewal_date": date.fromordinal(730_000 + number).isoformat(),
                "points": number,
                "adult": number % 1000 == 0,
            },
            "created_at": NOW,
            "updated_at": NOW,
        }
        for number in range(3000)
    ]
    with database.write() as connection:
        connection.execute(tables.customer.insert(), rows)
        attribute_indexes.bring(connection, TYPES.items())
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE customer")
        yield connection


def plan_of(connection: sa.Connection, query: sa.Select[Any]) -> str:
    """How the database means to run the very statement that planning sends."""
    seen: list[tuple[str, Any]] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *a: seen.append((a[2], a[3])))
    connection.execute(query).all()
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return str(connection.exec_driver_sql(explain + seen[0][0], seen[0][1]).all())


@pytest.mark.parametrize(
    ("text", "attribute", "count"),
    [
        ("customer.plan == 'pro'", "plan", 3),
        ("customer.plan in ['pro']", "plan", 3),
        ("customer.city == 'city 7'", "city", 1),
        ("'city 7' == customer.city", "city", 1),
        ("customer.points == 42", "points", 1),
        ("customer.points >= 2995", "points", 5),
        ("customer.renewal_date == 1999-09-10", "renewal_date", 1),
        ("customer.renewal_date < 1999-09-10 and customer.city != 'x'", "renewal_date", 7),
        ("customer.adult == true", "adult", 3),
    ],
)
def test_a_condition_uses_the_index_on_its_attribute(
    filled: sa.Connection, text: str, attribute: str, count: int
) -> None:
    """Ten times, because PostgreSQL makes one plan for all values after the first five."""
    clause, problems = compile_clause(text, span=Span("rules/test.yaml", 1, 1), scope=SCOPE)
    assert clause is not None, problems
    rome = zone_named("Europe/Rome")
    condition = clause_sql(clause, now=NOW, today=NOW.date(), zone=rome, dialect=filled.dialect.name)
    query = sa.select(tables.customer.c.id).where(condition)
    for _ in range(10):
        assert len(filled.execute(query).all()) == count
    assert f"ix_attribute_{attribute}_" in plan_of(filled, query)


def test_a_date_trigger_uses_the_index(filled: sa.Connection) -> None:
    match = audience.attribute_equals("renewal_date", "1999-09-10")
    found = audience.key_range(filled, members=Members(), match=match, who=(), after="", size=10)
    assert len(found) == 1
    customer = tables.customer
    query = sa.select(customer.c.id).where(customer.c.merged_into.is_(None), customer.c.id > "", match)
    assert "ix_attribute_renewal_date_" in plan_of(filled, query.order_by(customer.c.id).limit(10))


def test_indexes_come_and_go_with_their_declarations(database: Database) -> None:
    """A longer name than the database takes, and another type of an attribute, are indexes of their own."""
    long = "a" * 63
    with database.write() as connection:
        attribute_indexes.bring(connection, [("plan", ValueType.ENUM), (long, ValueType.DATE)])
        first = attribute_indexes.names(connection)
        attribute_indexes.bring(connection, [("plan", ValueType.ENUM), (long, ValueType.DATE)])
        assert attribute_indexes.names(connection) == first
        assert len(first) == 2
        attribute_indexes.bring(connection, [("plan", ValueType.NUMBER)])
        second = attribute_indexes.names(connection)
        assert len(second) == 1
        assert not first & second
        attribute_indexes.bring(connection, [])
        assert attribute_indexes.names(connection) == set()
