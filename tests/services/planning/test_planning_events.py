"""Event rules see each event once, in time, for known and unknown customers."""

from datetime import timedelta

import sqlalchemy as sa
from planning_kit import add_customer, add_event, balance, messages, next_due_of, plan, publish, rows, rule_files, utc

from outbound.domain.customer import ChannelName
from outbound.services import planning
from outbound.storage import runs, tables
from outbound.storage.database import Database
from outbound.storage.people import load_people

BEFORE = utc("2026-01-02 00:00")
NOON = utc("2026-03-02 12:00")
RECEIPT = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed, if: event.total > 0}
who: has(customer.email)
once: "{event.order_id}"
expires: 48h
unknown_customer: hold 6h
send: {template: order, channels: [email]}
"""
ORDER = {"order_id": "A1", "total": 20}


def _pending(database: Database) -> int:
    event = tables.event
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).where(event.c.handled_at.is_(None))).scalar_one()


def test_an_event_makes_one_message_with_what_the_template_reads(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    report = plan(database, active, NOON)
    plan(database, active, NOON)
    message = messages(database)["ada"]
    assert (message.once, message.state, message.lane, message.context) == (
        "A1",
        "ready",
        "express",
        {"event": {"order_id": "A1"}},
    )
    assert message.expires == utc("2026-03-04 12:00")
    assert (report.events, report.counts.messages) == (1, 1)
    assert [(run.slot, run.trigger) for run in rows(database, tables.run)] == [("2026-03-02", "event")]
    assert list(balance(database)) == [(1, 0, 1)]


def test_two_events_of_one_occurrence_are_one_message(database: Database) -> None:
    """``once`` is the order: a second event about it, in the same batch or later, is not a candidate again."""
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "ada")
    for event_id in ("e1", "e2"):
        add_event(database, event_id, "order.placed", "ada", ORDER, NOON)
    plan(database, active, NOON)
    add_event(database, "e3", "order.placed", "ada", ORDER, utc("2026-03-03 12:00"))
    plan(database, active, utc("2026-03-03 12:00"))
    assert len(rows(database, tables.message)) == 1
    assert next(iter(balance(database))) == (1, 0, 1)
    assert _pending(database) == 0


def test_what_the_condition_or_who_turns_down_is_handled_and_not_a_candidate(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "ada")
    add_customer(database, "bob", email=None, phone="+393331234567")
    add_event(database, "e1", "order.placed", "ada", {"order_id": "A1", "total": 0}, NOON)
    add_event(database, "e2", "order.placed", "bob", ORDER, NOON)
    add_event(database, "e3", "order.lost", "ada", {"order_id": "A1"}, NOON)
    plan(database, active, NOON)
    assert messages(database) == {}
    assert _pending(database) == 0
    [run] = rows(database, tables.run)
    with database.read() as connection:
        assert runs.misses(connection, run.id) == {"bob": 0}


def test_an_event_older_than_expires_is_skipped_with_the_reason(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    plan(database, active, utc("2026-03-04 12:00"))
    assert messages(database) == {}
    assert [row.reason for row in rows(database, tables.decision)] == ["expired"]
    assert list(balance(database)) == [(1, 1, 0)]


def test_a_rule_sees_no_event_received_before_it_was_published(database: Database) -> None:
    publish(database, rule_files(RECEIPT.replace("receipt", "other")), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    active = publish(database, rule_files(RECEIPT), utc("2026-03-02 12:30"))
    plan(database, active, utc("2026-03-02 12:31"))
    assert messages(database) == {}
    assert _pending(database) == 0


def test_an_event_in_the_future_waits_for_its_time(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    plan(database, active, utc("2026-03-02 11:59"))
    assert messages(database) == {}
    assert next_due_of(database, active, utc("2026-03-02 11:59")) == NOON
    plan(database, active, NOON)
    assert set(messages(database)) == {"ada"}


def test_an_event_waits_for_its_customer(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    plan(database, active, NOON)
    assert rows(database, tables.decision) == []
    assert next_due_of(database, active, NOON) == utc("2026-03-02 18:00")
    add_customer(database, "ada", now=utc("2026-03-02 15:00"))
    plan(database, active, utc("2026-03-02 15:01"))
    assert set(messages(database)) == {"ada"}
    assert list(balance(database)) == [(1, 0, 1)]


def test_a_customer_who_never_appears_is_a_skip_with_the_reason(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_event(database, "e1", "order.placed", "ghost", ORDER, NOON)
    add_event(database, "e2", "order.placed", "ghost", {"order_id": "A2", "total": 0}, NOON)
    plan(database, active, utc("2026-03-02 17:59"))
    assert _pending(database) == 2
    for _ in range(2):
        plan(database, active, utc("2026-03-02 18:00"))
    [decision] = rows(database, tables.decision)
    assert (decision.customer_id, decision.once, decision.verdict, decision.reason) == (
        "ghost",
        "A1",
        "skip",
        "unknown_customer",
    )
    assert _pending(database) == 0
    assert list(balance(database)) == [(1, 1, 0)]


def test_drop_does_not_wait(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT.replace("hold 6h", "drop")), BEFORE)
    add_event(database, "e1", "order.placed", "ghost", ORDER, NOON)
    plan(database, active, NOON)
    assert [row.reason for row in rows(database, tables.decision)] == ["unknown_customer"]
    assert _pending(database) == 0


def test_rules_wait_each_for_as_long_as_they_say(database: Database) -> None:
    """One event, one rule that drops and one that holds: the first skips at once, the second still fires."""
    dropping = RECEIPT.replace("rule: receipt", "rule: dropping").replace("hold 6h", "drop")
    active = publish(database, rule_files(RECEIPT, dropping), BEFORE)
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    plan(database, active, NOON)
    add_customer(database, "ada")
    plan(database, active, utc("2026-03-02 13:00"))
    assert [(row.rule, row.verdict) for row in rows(database, tables.decision)] == [
        ("dropping", "skip"),
        ("receipt", "send"),
    ]


def test_create_makes_the_customer_from_the_event(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT.replace("hold 6h", "create")), BEFORE)
    add_event(database, "e1", "order.placed", "new", {**ORDER, "email": "New.One@Example.COM"}, NOON)
    plan(database, active, NOON)
    assert set(messages(database)) == {"new"}
    with database.read() as connection:
        person = load_people(connection, ["new"])["new"]
    address = person.customer.address(ChannelName.EMAIL)
    assert address is not None
    assert address.value == "New.One@example.com"
    assert person.consents == {}


def test_create_without_keys_waits_like_hold(database: Database) -> None:
    """Without the keyring an address could not be matched against suppressions, so nobody is created."""
    active = publish(database, rule_files(RECEIPT.replace("hold 6h", "create")), BEFORE)
    add_event(database, "e1", "order.placed", "new", {**ORDER, "email": "new@example.com"}, NOON)
    planning.plan_due(database, active, now=NOON)
    assert rows(database, tables.customer) == []
    assert _pending(database) == 1


def test_an_event_about_a_merged_customer_goes_to_the_surviving_one(database: Database) -> None:
    active = publish(database, rule_files(RECEIPT), BEFORE)
    add_customer(database, "old")
    add_customer(database, "ada")
    with database.write() as connection:
        connection.execute(tables.customer.update().where(tables.customer.c.id == "old").values(merged_into="ada"))
    add_event(database, "e1", "order.placed", "old", ORDER, NOON)
    plan(database, active, NOON)
    assert set(messages(database)) == {"ada"}


def test_conditions_about_the_past_see_the_event_itself_and_what_was_before(database: Database) -> None:
    rule = RECEIPT.replace("who: has(customer.email)", "who: count(order.placed, within 30d) >= 2")
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e0", "order.placed", "ada", {"order_id": "A0", "total": 5}, utc("2026-02-20 12:00"))
    plan(database, active, utc("2026-02-20 12:00"))
    assert messages(database) == {}
    add_event(database, "e1", "order.placed", "ada", ORDER, NOON)
    plan(database, active, NOON)
    assert messages(database)["ada"].once == "A1"


def test_a_pace_delays_only_what_comes_faster_than_it(database: Database) -> None:
    """An event every minute is no faster than 60 an hour: the third of the day leaves at once, not minutes later.

    Two at once are faster: the second has its turn a minute later, and so has whoever comes right behind.
    """
    active = publish(database, rule_files(RECEIPT.replace("[email]", "[email], pace: 60/h")), BEFORE)
    minutes = (0, 1, 2, 2, 2, 10)
    for number, minute in enumerate(minutes):
        at = NOON + timedelta(minutes=minute)
        add_customer(database, f"c{number}")
        add_event(database, f"e{number}", "order.placed", f"c{number}", ORDER, at)
        plan(database, active, at)
    found = messages(database)
    leaving = [(found[f"c{number}"].not_before - NOON) / timedelta(minutes=1) for number in range(len(minutes))]
    assert leaving == [0, 1, 2, 3, 4, 10]
