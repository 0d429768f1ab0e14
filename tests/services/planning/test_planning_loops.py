"""The backstop against loops (fault F53): rules that set each other off by the events of their own messages."""

from datetime import datetime, timedelta

import pytest
from planning_kit import POLICY, add_customer, add_event, balance, plan, publish, rows, rule_files, utc

from outbound.domain.release import Files
from outbound.storage import tables
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
NOON = utc("2026-03-02 12:00")
_MINUTE = timedelta(minutes=1)
_PING = """
rule: {id}
owner: ops@shop.example
topic: orders
when: {{event: {event}}}
once: "{{event.id}}"
expires: 48h
send: {{template: plain, channels: [email]}}
"""
PING = _PING.format(id="ping", event="shop.ping")
PONG = _PING.format(id="pong", event="shop.pong")
SCHEMA = """
customer:
  id: {type: string, required: true}
  email: {type: string}
  country: {type: string}
events:
  shop.ping: {message: {type: string}}
  shop.pong: {message: {type: string}}
"""


def files(*rules: str, loops: str) -> Files:
    found = dict(rule_files(*rules, schema=SCHEMA))
    found["rules/policy.yaml"] = (POLICY + loops).encode()
    # The template of the kit that reads an order has no event to read here.
    return {path: content for path, content in found.items() if not path.startswith("templates/order/")}


def decisions(database: Database) -> list[tuple[str, str, str]]:
    return [(row.verdict, row.reason, row.detail) for row in sorted(rows(database, tables.decision), key=_at)]


def _at(row: object) -> tuple[datetime, str]:
    return row.at, row.once  # type: ignore[attr-defined]


def test_f53_two_rules_that_feed_each_other_stop_at_the_depth(database: Database) -> None:
    """F53: another system answers each message with an event that names it; the chain ends with the reason kept."""
    active = publish(database, files(PING, PONG, loops="loops: {depth: 3, per_day: 50}\n"), BEFORE)
    add_customer(database, "ada")
    add_event(database, "e0", "shop.ping", "ada", {}, NOON)
    known: set[str] = set()
    for turn in range(1, 9):
        now = NOON + turn * _MINUTE
        plan(database, active, now)
        fresh = [row for row in rows(database, tables.message) if row.id not in known]
        for message in fresh:
            known.add(message.id)
            answer = "shop.pong" if message.rule == "ping" else "shop.ping"
            add_event(database, f"e{turn}", answer, "ada", {"message": message.id}, now)
    assert sorted(row.depth for row in rows(database, tables.message)) == [0, 1, 2, 3]
    assert decisions(database) == [("send", "", "")] * 4 + [("skip", "loop", "depth")]
    assert list(balance(database)) == [(3, 1, 2), (2, 0, 2)]


def test_f53_a_chain_forks_set_wise_and_an_unknown_message_starts_a_new_one(database: Database) -> None:
    """F53: in one batch every event follows its own message; an id that is none of ours leads nowhere."""
    active = publish(database, files(PING, PONG, loops="loops: {depth: 5, per_day: 50}\n"), BEFORE)
    for customer in ("ada", "bob"):
        add_customer(database, customer)
        add_event(database, f"{customer}-0", "shop.ping", customer, {}, NOON)
    plan(database, active, NOON)
    for message in rows(database, tables.message):
        add_event(database, f"{message.customer_id}-1", "shop.pong", message.customer_id, {"message": message.id}, NOON)
    add_event(database, "ada-other", "shop.pong", "ada", {"message": "nobody-knows-this"}, NOON)
    plan(database, active, NOON + _MINUTE)
    depths = sorted((row.customer_id, row.rule, row.depth) for row in rows(database, tables.message))
    assert depths == [
        ("ada", "ping", 0),
        ("ada", "pong", 0),
        ("ada", "pong", 1),
        ("bob", "ping", 0),
        ("bob", "pong", 1),
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_f53_a_storm_of_events_for_one_person_stops_at_the_daily_most(database: Database, at_once: bool) -> None:
    """F53: in one batch or event by event, over all rules; the reason stands; the next local day works again."""
    active = publish(database, files(PING, PONG, loops="loops: {depth: 5, per_day: 4}\n"), BEFORE)
    add_customer(database, "ada")
    add_customer(database, "bob")
    for number in range(6):
        name = ("shop.ping", "shop.pong")[number % 2]
        add_event(database, f"e{number}", name, "ada", {}, NOON + number * _MINUTE)
        if not at_once:
            plan(database, active, NOON + number * _MINUTE)
    add_event(database, "bobs", "shop.ping", "bob", {}, NOON)
    plan(database, active, NOON + 6 * _MINUTE)
    sent = [row.customer_id for row in rows(database, tables.message)]
    assert (sent.count("ada"), sent.count("bob")) == (4, 1)
    assert decisions(database).count(("skip", "loop", "per_day")) == 2
    # 23:30 UTC is the next day in Rome.
    tomorrow = utc("2026-03-02 23:30")
    add_event(database, "late", "shop.ping", "ada", {}, tomorrow)
    plan(database, active, tomorrow)
    assert [row.customer_id for row in rows(database, tables.message)].count("ada") == 5


def test_f53_a_storm_about_one_thing_is_one_message_and_uses_up_nothing(database: Database) -> None:
    """F53: events under a key decided before are no candidates, so they take nobody's place in the day."""
    once = PING.replace('"{event.id}"', '"{event.message}"').replace("topic", "unknown_customer: drop\ntopic")
    schema = SCHEMA.replace("{message: {type: string}}", "{message: {type: string, required: true}}", 1)
    content = files(once, PONG, loops="loops: {depth: 5, per_day: 2}\n")
    active = publish(database, {**content, "rules/schema.yaml": schema.encode()}, BEFORE)
    add_customer(database, "ada")
    for number in range(6):
        add_event(database, f"e{number}", "shop.ping", "ada", {"message": "the same"}, NOON)
    add_event(database, "other", "shop.pong", "ada", {}, NOON)
    plan(database, active, NOON)
    assert sorted(row.rule for row in rows(database, tables.message)) == ["ping", "pong"]
