"""Past events shown to the rules again: keys hold, and nothing is written before somebody says so."""

from datetime import timedelta
from typing import Any

import pytest
from planning_kit import NEWSLETTER, add_customer, add_event, balance, plan, publish, rows, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services.replay import Replayed, replay_events
from outbound.storage import tables
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
NOON = utc("2026-03-02 12:00")
LATER = NOON + timedelta(hours=2)
RECEIPT = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed, if: event.total > 0}
who: has(customer.email)
once: "{event.order_id}"
expires: 48h
send: {template: order, channels: [email]}
"""
DEAR = RECEIPT.replace("rule: receipt", "rule: dear").replace("event.total > 0", "event.total > 50")


def orders(database: Database, count: int) -> None:
    """One order a minute from noon on, each of somebody else, each ten dearer."""
    for n in range(count):
        add_customer(database, f"c{n}")
        data = {"order_id": f"A{n}", "total": 10 * n}
        add_event(database, f"e{n}", "order.placed", f"c{n}", data, NOON + timedelta(minutes=n))


def replay(database: Database, active: Any, **more: Any) -> Replayed:
    stretch = {"start": NOON, "end": LATER, "by": "mia", "now": LATER, **more}
    return replay_events(database, active, **stretch)


def test_a_rule_that_came_too_late_reaches_whom_it_missed(database: Database) -> None:
    """Shown first: nothing is written. With ``send`` once, and never twice; the old rule says nothing again."""
    active = publish(database, rule_files(RECEIPT), BEFORE)
    orders(database, 10)
    plan(database, active, LATER - timedelta(hours=1))
    assert len(rows(database, tables.message)) == 9
    active = publish(database, rule_files(RECEIPT, DEAR), LATER - timedelta(minutes=30))
    shown = replay(database, active)
    assert (shown.events, shown.messages, shown.sent) == (10, 4, False)
    assert {name: (one.messages, one.already) for name, one in shown.rules.items()} == {
        "receipt": (0, 9),
        "dear": (4, 0),
    }
    assert len(rows(database, tables.message)) == 9
    done = replay(database, active, send=True)
    assert (done.messages, dict(done.rules["dear"].channels)) == (4, {"email": 4})
    assert replay(database, active, send=True).messages == 0
    plan(database, active, LATER)
    found = rows(database, tables.message)
    assert sorted(row.once for row in found if row.rule == "dear") == ["A6", "A7", "A8", "A9"]
    assert len(found) == 13
    assert all(candidates == skipped + messages for candidates, skipped, messages in balance(database))
    log = sorted((row.kind, row.subject, row.by, row.details["messages"]) for row in rows(database, tables.operation))
    assert log == [("replay events", "all", "mia", 0), ("replay events", "all", "mia", 4)]


def test_a_corrected_condition_reaches_those_it_had_left_out(database: Database) -> None:
    """A miss is no decision: who did not match then may match now. Who was decided about stays decided."""
    wrong = RECEIPT.replace("has(customer.email)", "customer.plan == 'pro'")
    active = publish(database, rule_files(wrong), BEFORE)
    orders(database, 3)
    plan(database, active, LATER)
    assert rows(database, tables.message) == []
    active = publish(database, rule_files(RECEIPT), LATER)
    assert replay(database, active).messages == 2
    assert replay(database, active, send=True).messages == 2
    assert {row.once for row in rows(database, tables.message)} == {"A1", "A2"}


def test_only_the_stretch_and_only_the_rule_that_are_named(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    orders(database, 10)
    plan(database, active, LATER)
    active = publish(database, rule_files(RECEIPT, DEAR, NEWSLETTER), LATER)
    some = replay(database, active, start=NOON + timedelta(minutes=2), end=NOON + timedelta(minutes=8))
    assert {name: one.messages for name, one in some.rules.items()} == {"receipt": 6, "dear": 2}
    assert {name: one.messages for name, one in replay(database, active, rule="dear").rules.items()} == {"dear": 4}
    with pytest.raises(OutboundError, match="no rule that listens to an event"):
        replay(database, active, rule="news")
    with pytest.raises(OutboundError, match="--to is not after --from"):
        replay(database, active, end=NOON)


def test_two_events_of_one_occurrence_count_once_also_across_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown is what would be sent."""
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    for n in range(7):
        data = {"order_id": f"A{n % 2}", "total": 20}
        add_event(database, f"e{n}", "order.placed", "ada", data, NOON + timedelta(minutes=n))
    plan(database, active, LATER)
    active = publish(database, rule_files(RECEIPT), LATER)
    monkeypatch.setattr("outbound.services.replay.BATCH", 2)
    shown = replay(database, active)
    assert (shown.events, shown.messages) == (7, 2)
    assert replay(database, active, send=True).messages == 2


def test_an_event_too_old_for_its_message_sends_nothing(database: Database) -> None:
    """``expires`` counts from the event's own time, also when it is shown again."""
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    orders(database, 2)
    plan(database, active, LATER)
    late = NOON + timedelta(days=3)
    active = publish(database, rule_files(RECEIPT), late)
    done = replay(database, active, end=late, now=late, send=True)
    assert (done.messages, dict(done.rules["receipt"].skipped)) == (0, {"expired": 1})
    assert rows(database, tables.message) == []
