"""A customer whose zone changes while something waits for them, or while a slot passes around the world."""

from datetime import timedelta

import pytest
from planning_kit import add_customer, messages, plan, publish, rows, rule_files, utc

from outbound.engine.timing.zones import zone_source
from outbound.services import preferences
from outbound.storage import customers, merge_customers, tables
from outbound.storage.customers import Update
from outbound.storage.database import Database
from outbound.storage.stage import CUSTOMER, staging

BEFORE = utc("2026-01-02 00:00")
_MINUTE = timedelta(minutes=1)
DAILY = """
rule: daily
owner: crm@shop.example
topic: notices
when: {schedule: "FREQ=DAILY", at: "10:00", tz: customer}
expires: 6h
send: {template: plain, channels: [email]}
"""
BIRTHDAY = """
rule: birthday
owner: crm@shop.example
topic: notices
when: {date: customer.renewal_date, at: "10:00", tz: customer}
send: {template: plain, channels: [email]}
"""
FIXED = DAILY.replace("rule: daily", "rule: fixed").replace("tz: customer", "tz: Europe/Rome")


def live_in(database: Database, customer_id: str, zone: str, at: str) -> None:
    """The customer says where they live now, as the preference page stores it."""
    with database.write() as connection:
        customers.apply(
            connection, Update(customer_id=customer_id, columns={"timezone": zone}), source="test", now=utc(at)
        )
        preferences.refresh_zone(connection, customer_id)


def moved(database: Database) -> list[str]:
    return [row.id for row in rows(database, tables.customer) if row.moved_from is not None]


def test_what_waits_follows_a_customer_who_moves_west(database: Database) -> None:
    """09:00 UTC in Rome becomes 15:00 UTC in New York; it may wait longer by as much; a fixed zone stays."""
    active = publish(database, rule_files(DAILY, FIXED), BEFORE)
    add_customer(database, "ada", timezone="Europe/Rome")
    plan(database, active, utc("2026-02-03 08:40"))
    live_in(database, "ada", "America/New_York", "2026-02-03 08:45")
    assert moved(database) == ["ada"]
    plan(database, active, utc("2026-02-03 08:46"))
    found = {row.rule: row for row in rows(database, tables.message)}
    daily, fixed = found["daily"], found["fixed"]
    assert (daily.zone, daily.local_time) == ("America/New_York", "2026-02-03T10:00")
    assert (daily.not_before, daily.expires) == (utc("2026-02-03 15:00"), utc("2026-02-03 21:00"))
    assert (fixed.zone, fixed.not_before) == ("Europe/Rome", utc("2026-02-03 09:00"))
    assert moved(database) == []


def test_what_waits_leaves_now_at_the_earliest(database: Database) -> None:
    """10:00 has passed in Rome: the message waiting for 10:00 in New York is due now, and only once."""
    active = publish(database, rule_files(DAILY), BEFORE)
    add_customer(database, "ada", timezone="America/New_York")
    plan(database, active, utc("2026-02-03 14:40"))
    live_in(database, "ada", "Europe/Rome", "2026-02-03 14:50")
    now = utc("2026-02-03 14:51")
    for minutes in range(3):
        plan(database, active, now + minutes * _MINUTE)
    [message] = rows(database, tables.message)
    assert (message.zone, message.not_before, message.state) == ("Europe/Rome", now, "scheduled")
    assert message.expires == utc("2026-02-03 21:00")


@pytest.mark.parametrize("rule", [DAILY, BIRTHDAY])
def test_nobody_falls_between_two_zones(database: Database, rule: str) -> None:
    """Rome's 10:00 has fired, New York's has not; who moves to Rome in between still gets the message, once."""
    active = publish(database, rule_files(rule), BEFORE)
    born = {"renewal_date": "2026-02-03"}
    add_customer(database, "ada", timezone="America/New_York", attributes=born)
    add_customer(database, "bob", timezone="America/New_York", attributes=born)
    add_customer(database, "eva", timezone="Europe/Rome", attributes=born)
    plan(database, active, utc("2026-02-02 12:00"))
    plan(database, active, utc("2026-02-03 09:00"))
    live_in(database, "ada", "Europe/Rome", "2026-02-03 12:00")
    for at in ("12:01", "12:02", "14:40", "15:30"):
        plan(database, active, utc(f"2026-02-03 {at}"))
    today = {row.customer_id: row.zone for row in rows(database, tables.message) if row.local_time[:10] == "2026-02-03"}
    assert today == {"ada": "Europe/Rome", "bob": "America/New_York", "eva": "Europe/Rome"}
    keys = [(row.customer_id, row.once) for row in rows(database, tables.message)]
    assert len(keys) == len(set(keys))
    assert moved(database) == []


def test_a_customer_who_moves_on_ahead_of_the_slot_gets_it_there_and_only_there(database: Database) -> None:
    """From Rome, where it has fired and was sent, to New York, where it has not: ``once`` keeps it to one."""
    active = publish(database, rule_files(DAILY), BEFORE)
    add_customer(database, "ada", timezone="Europe/Rome")
    add_customer(database, "bob", timezone="America/New_York")
    plan(database, active, utc("2026-02-03 09:00"))
    with database.write() as connection:
        connection.execute(tables.message.update().values(state="sent"))
    live_in(database, "ada", "America/New_York", "2026-02-03 12:00")
    plan(database, active, utc("2026-02-03 12:01"))
    plan(database, active, utc("2026-02-03 14:45"))
    found = messages(database)
    assert (found["ada"].state, found["ada"].zone) == ("sent", "Europe/Rome")
    assert found["bob"].zone == "America/New_York"


def test_a_slot_that_was_missed_in_the_new_zone_is_not_made_up_for_movers(database: Database) -> None:
    """After downtime only the newest slot ran in Rome; the older ones are not sent to who moves there."""
    rule = DAILY.replace("expires: 6h", "expires: 6h\ncatch_up: 3d")
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada", timezone="America/New_York")
    add_customer(database, "eva", timezone="Europe/Rome")
    plan(database, active, utc("2026-02-01 20:00"))
    plan(database, active, utc("2026-02-04 12:00"))
    live_in(database, "ada", "Europe/Rome", "2026-02-04 12:05")
    plan(database, active, utc("2026-02-04 12:06"))
    days = [(row.once, row.verdict) for row in rows(database, tables.decision) if row.customer_id == "ada"]
    assert ("2026-02-02", "send") not in days
    assert [day for day, _ in days].count("2026-02-04") == 1


def test_somebody_new_has_not_moved(database: Database) -> None:
    """A customer made after the slot gets none of it: they were nowhere when it fired."""
    active = publish(database, rule_files(DAILY), BEFORE)
    add_customer(database, "eva", timezone="Europe/Rome")
    plan(database, active, utc("2026-02-03 09:00"))
    add_customer(database, "ada", timezone="Europe/Rome", now=utc("2026-02-03 10:00"))
    assert moved(database) == []
    plan(database, active, utc("2026-02-03 10:01"))
    assert set(messages(database)) == {"eva"}


def test_an_import_marks_who_moves_and_nobody_else(database: Database) -> None:
    """The merge of an import refreshes zones set-wise and leaves the same mark; who is new has not moved."""
    add_customer(database, "ada", country="IT")
    add_customer(database, "eva", country="IT")
    told = {"country": "FR", "zone_source": "country:FR"}
    with staging(database) as stage:
        people = [{**told, "id": name, "line": line} for line, name in enumerate(("ada", "new"))]
        stage.add("stage_customer", [tuple(one.get(column) for column in CUSTOMER) for one in people])
        with stage.merging(keep=True) as connection:
            merge_customers.merge(
                connection, columns={"country"}, source="test", now=utc("2026-02-03 09:00"), zone_source=zone_source
            )
    assert moved(database) == ["ada"]
