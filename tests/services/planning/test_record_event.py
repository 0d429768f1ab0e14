"""Events are typed against the schema and recorded once."""

from typing import Any

import pytest
from planning_kit import NEWSLETTER, publish, rows, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services.events import record_event
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database

NOW = utc("2026-03-02 12:00")


@pytest.fixture
def active(database: Database) -> Active:
    return publish(database, rule_files(NEWSLETTER), utc("2026-01-02 00:00"))


def test_text_becomes_what_the_schema_declares_and_the_same_id_is_the_same_event(
    database: Database, active: Active
) -> None:
    data = {"order_id": "A1", "total": "20.50"}
    for fresh in (True, False):
        _, new = record_event(
            database,
            active.ruleset.schema,
            name="order.placed",
            customer_id="ada",
            data=data,
            event_id="shop-1",
            now=NOW,
        )
        assert new is fresh
    [row] = rows(database, tables.event)
    assert row.data == {"order_id": "A1", "total": 20.5}
    assert row.handled_at is None
    assert row.at == row.received_at == NOW


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("order.eaten", {}, "event.name"),
        ("order.placed", {"order_id": "A1"}, "event.data"),
        ("order.placed", {"order_id": "A1", "total": "many"}, "event.data"),
        ("order.placed", {"order_id": 1, "total": 1}, "event.data"),
        ("order.placed", {"order_id": "A1", "total": 1, "colour": "red"}, "event.data"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(
    database: Database, active: Active, name: str, data: dict[str, Any], code: str
) -> None:
    with pytest.raises(OutboundError) as refused:
        record_event(database, active.ruleset.schema, name=name, customer_id="ada", data=data, now=NOW)
    assert refused.value.code == code
    assert rows(database, tables.event) == []
