"""The calendar of a pass: worked out once for a day and the zones there are, and the same as asking each rule."""

from datetime import timedelta

from planning_kit import add_customer, add_event, messages, plan, publish, rule_files, utc

from outbound.services.planning import agenda
from outbound.services.planning.buckets import Buckets
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
_DAY = timedelta(days=1)
DAILY = """
rule: daily
owner: crm@shop.example
topic: notices
when: {schedule: "FREQ=DAILY", at: "10:00", tz: customer}
send: {template: plain, channels: [email]}
"""
BIRTHDAY = """
rule: birthday
owner: crm@shop.example
topic: notices
when: {date: customer.renewal_date, offset: [-2d, 0d], at: "00:15", tz: customer}
send: {template: plain, channels: [email]}
"""
RECEIPT = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
expires: 48h
send: {template: order, channels: [email]}
"""


def test_passes_of_one_day_share_a_page_and_a_new_zone_makes_another(database: Database) -> None:
    """A tick each second must not ask every rule in every zone again."""
    active = publish(database, rule_files(DAILY, BIRTHDAY), BEFORE)
    add_customer(database, "ada", timezone="Europe/Rome")
    for _ in range(2):  # the first looks back a month and needs no page
        plan(database, active, utc("2026-02-03 11:00"))
    before = agenda._slot_page.cache_info().misses
    for seconds in range(60):
        plan(database, active, utc("2026-02-03 11:00") + timedelta(seconds=seconds))
    assert agenda._slot_page.cache_info().misses == before
    add_customer(database, "eva", timezone="America/New_York")
    plan(database, active, utc("2026-02-03 14:45"))
    assert agenda._slot_page.cache_info().misses == before + 1
    assert messages(database)["eva"].not_before == utc("2026-02-03 15:00")


def test_pages_hold_what_asking_for_the_whole_stretch_gives(database: Database) -> None:
    """Half-open at the start, closed at the end, also across midnight UTC; long stretches do without pages."""
    active = publish(database, rule_files(DAILY, BIRTHDAY), BEFORE)
    for name, zone in (("ada", "Europe/Rome"), ("eva", "America/New_York"), ("kim", "Pacific/Kiritimati")):
        add_customer(database, name, timezone=zone)
    buckets = Buckets(database, active.ruleset.policy)
    start, end = utc("2026-03-06 15:00"), utc("2026-03-10 14:00")  # clocks change in New York
    whole = agenda.due_slots(active, buckets, after=start, until=end)
    days = agenda.due_days(active, buckets, after=start, until=end)
    expected = sorted((d.rule.id, d.bucket.key, at) for d in (*whole, *days) for at, _ in d.times)
    found = []
    step, at = timedelta(minutes=45), start
    while at < end:
        until = min(at + step, end)
        dues = (
            *agenda.due_slots(active, buckets, after=at, until=until),
            *agenda.due_days(active, buckets, after=at, until=until),
        )
        found += [(d.rule.id, d.bucket.key, instant) for d in dues for instant, _ in d.times]
        at = until
    assert sorted(found) == expected
    assert len(expected) == len(set(expected)) > 20


def test_an_event_received_before_downtime_runs_while_it_is_younger_than_expires(database: Database) -> None:
    """Nobody planned for 47 hours; the rule gives it 48. A minute past them, it is too old."""
    active = publish(database, rule_files(RECEIPT), BEFORE)
    for name in ("ada", "bob"):
        add_customer(database, name)
    noon = utc("2026-03-02 12:00")
    add_event(database, "young", "order.placed", "ada", {"order_id": "A1", "total": 1}, noon)
    add_event(database, "old", "order.placed", "bob", {"order_id": "B1", "total": 1}, noon - timedelta(hours=2))
    plan(database, active, noon + 2 * _DAY - timedelta(hours=1))
    found = messages(database)
    assert set(found) == {"ada"}
    assert found["ada"].expires == noon + 2 * _DAY
