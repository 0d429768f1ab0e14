"""Importing events: history that fires nothing, once per id."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from import_shop import FIELDS, NOW, Shop

from outbound.domain.errors import OutboundError
from outbound.services import customers
from outbound.services.imports.report import ImportReport
from outbound.storage import events

Remarks = Callable[[ImportReport], list[tuple[int, str, str]]]
ORDERS = (
    "import: events\nsource: shop\nevent: order.placed\ncustomer: who\nid: id\n"
    'at: {column: at, format: "%Y-%m-%d %H:%M", zone: Europe/Rome}\n'
    "data: {order_id: id, total: {column: total, decimal: ','}, note: note}\n"
)
HEADER = "id,who,at,total,note\n"
ROWS = 'o1,c1,2026-01-02 10:00,"12,50",\no2,c1,2026-07-02 10:00,9,thanks\n'


def _history(shop: Shop, identity: str = "c1") -> list[tuple[str, datetime, dict[str, object]]]:
    with shop.database.read() as connection:
        found = events.history(connection, [identity], ["order.placed"]).get(identity, [])
    return [(e.id, e.at, dict(e.data)) for e in found]


def _known(shop: Shop, *ids: str) -> None:
    shop.customers(FIELDS + "first_name: name", "id,name\n" + "".join(f"{i},x\n" for i in ids))


def test_events_are_history_and_no_rule_sees_them(shop: Shop) -> None:
    _known(shop, "c1")
    report = shop.events(ORDERS, HEADER + ROWS)
    assert (report.new, report.fired, report.samples) == (2, False, ())
    assert _history(shop) == [
        ("order.placed/o1", datetime(2026, 1, 2, 9, tzinfo=UTC), {"order_id": "o1", "total": 12.5}),
        ("order.placed/o2", datetime(2026, 7, 2, 8, tzinfo=UTC), {"order_id": "o2", "total": 9, "note": "thanks"}),
    ]
    with shop.database.read() as connection:
        assert events.pending(connection, limit=9) == []


def test_with_fire_they_wait_for_the_rules_once(shop: Shop) -> None:
    _known(shop, "c1")
    shop.events(ORDERS, HEADER + ROWS.splitlines()[0] + "\n")
    assert shop.events(ORDERS, HEADER + ROWS, fire=True).new == 1
    with shop.database.read() as connection:
        assert [e.id for e in events.pending(connection, limit=9)] == ["order.placed/o2"]


def test_the_same_file_again_changes_nothing_also_without_ids_and_with_shifted_times(shop: Shop) -> None:
    _known(shop, "c1")
    mapping = ORDERS.replace("\nid: id", "") + "shift_newest_to: now\n"
    assert shop.events(mapping, HEADER + ROWS).new == 2
    before = _history(shop)
    assert before[-1][1] == NOW
    assert before[-1][1] - before[0][1] == timedelta(days=181, hours=-1)
    again = shop.events(mapping, HEADER + ROWS, now=NOW + timedelta(days=1))
    assert (again.new, again.unchanged, again.changed_nothing) == (0, 2, True)
    assert _history(shop) == before


def test_bad_rows_are_refused_and_a_required_field_must_be_there(shop: Shop, remarks_of: Remarks) -> None:
    _known(shop, "c1")
    rows = "o1,c1,yesterday,1,\n,c1,2026-01-02 10:00,1,\no3,,2026-01-02 10:00,1,\no4,c1,2026-01-02 10:00,,\n"
    report = shop.events(ORDERS, HEADER + rows + "o5,c1,2026-01-02 10:00,x,\no6,c1,1970-01-01 00:00,1,\n")
    assert (report.rows, report.new, report.refused) == (6, 0, 6)
    assert remarks_of(report) == [
        (2, "at", "not a time (%Y-%m-%d %H:%M)"),
        (3, "id", "empty"),
        (4, "who", "empty"),
        (5, "total", "empty, and the event requires it"),
        (6, "total", "not a number"),
        (7, "at", "a date that stands for nothing"),
    ]
    assert not shop.events(ORDERS, HEADER + rows + ROWS, strict=True).applied
    assert _history(shop) == []


def test_events_follow_a_merged_customer_and_wait_for_an_unknown_one(shop: Shop, remarks_of: Remarks) -> None:
    _known(shop, "c1", "c2")
    customers.merge(shop.database, loser="c1", winner="c2", by="mia", now=NOW)
    report = shop.events(ORDERS, HEADER + ROWS + "o3,c9,2026-01-02 10:00,1,\no3,c9,2026-01-03 10:00,1,\n")
    assert (report.new, report.duplicates) == (3, 1)
    assert (5, "who", "no such customer yet: the event waits for them") in remarks_of(report)
    assert len(_history(shop, "c2")) == 2
    assert _history(shop, "c9")[0][1].day == 3


def test_a_dry_run_keeps_nothing_and_a_wrong_shift_is_an_error(shop: Shop) -> None:
    assert shop.events(ORDERS, HEADER + ROWS, dry_run=True).new == 2
    assert _history(shop) == []
    with pytest.raises(OutboundError, match="shift_newest_to cannot be 'soon'"):
        shop.events(ORDERS + "shift_newest_to: soon", HEADER + ROWS)
