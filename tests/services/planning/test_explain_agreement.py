"""What ``explain`` says before is what planning then does: one engine, asked twice."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from planning_kit import KEYRING, add_customer, add_event, plan, publish, rows, rule_files, utc

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.services.explain import Explained, Question, explain_all, explain_rule
from outbound.services.explain.subject import load_subject
from outbound.services.preferences import suppress, withdraw
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.people import load_people

BEFORE = utc("2026-01-02 00:00")
NOW = utc("2026-03-08 08:40")  # a Sunday, 20 minutes before 10:00 in Rome

RULES = (
    """
rule: news
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00", tz: customer}
who:
  - customer.country in ['IT', 'DE', 'US']
  - (customer.plan ?? 'free') == 'free'
send: {template: plain, channels: [email, sms]}
""",
    """
rule: test
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:05", tz: Europe/Rome}
experiment:
  id: spring
  coverage: 60%
  holdout: 30%
  variants: {one: {weight: 50, template: plain}, two: {weight: 50, template: plain}}
send: {channels: [email]}
""",
    """
rule: renewal
owner: billing@shop.example
topic: notices
when: {date: customer.renewal_date, offset: [-14d, -3d], at: "09:30", tz: Europe/Rome}
send: {template: plain, channels: [sms, email]}
""",
    """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed, if: event.total >= 10}
who: (customer.country ?? 'IT') != 'US'
once: "{event.order_id}"
send: {template: order, channels: [email]}
""",
    """
rule: upgraded
owner: crm@shop.example
topic: notices
when: {changed: customer.plan, to: pro}
send: {template: plain, channels: [email]}
""",
    """
rule: rich
owner: crm@shop.example
topic: notices
when: {enters: rich}
send: {template: plain, channels: [email]}
""",
    """
rule: night
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=DAILY, at: "09:05", tz: UTC}
who: not happened(order.placed, within 3d)
send: {template: plain, channels: [email, sms]}
""",
)
SEGMENT = b"segment: rich\nif: customer.points >= 100\n"


@pytest.fixture
def active(database: Database) -> Active:
    """A shop with one customer of each kind, and everything that could fire about to do so."""
    active = publish(database, {**rule_files(*RULES), "rules/segments.yaml": SEGMENT}, BEFORE)
    for number in range(12):
        add_customer(database, f"c{number:02}", country="IT", phone=f"+3934012345{number:02}")
    add_customer(database, "silent", consent=False)
    add_customer(database, "paper", email=None)
    add_customer(database, "york", country="US", timezone="America/New_York")
    add_customer(database, "pro", attributes={"plan": "pro"})
    add_customer(database, "due", attributes={"renewal_date": "2026-03-22"}, email=None, phone="+393401234599")
    add_customer(database, "sleeper", quiet_from="08:00", quiet_to="12:00")
    add_customer(database, "gone")
    add_customer(database, "blocked")
    add_customer(database, "twin-a", email="twins@example.com")
    add_customer(database, "twin-b", email="twins@example.com")
    plan(database, active, utc("2026-03-07 12:00"))  # what came with the customers is known
    add_customer(database, "c00", country="IT", phone="+393401234500", attributes={"plan": "pro"}, now=NOW)
    add_customer(database, "c01", country="IT", phone="+393401234501", attributes={"points": 150}, now=NOW)
    for name, total in (("c02", 30.0), ("c03", 3.0), ("york", 40.0)):
        add_event(database, f"order-{name}", "order.placed", name, {"order_id": name, "total": total}, NOW)
    withdraw(database, customer_id="gone", topic="newsletter", channel=None, evidence=Evidence(source="page"), now=NOW)
    suppress(
        database,
        KEYRING,
        channel=ChannelName.EMAIL,
        address="blocked@example.com",
        scope="all",
        reason="bounced.hard",
        now=NOW,
    )
    return active


def people(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(tables.customer.c.id)).scalars())


def explained(database: Database, now: datetime = NOW) -> Iterator[Explained]:
    for name in people(database):
        yield from explain_all(database, KEYRING, Question(customer=name, now=now))


def told(row: Any) -> tuple[str, str]:
    return row.verdict, f"{row.reason}.{row.detail}" if row.detail else row.reason


def test_what_it_says_is_what_planning_decides(database: Database, active: Active) -> None:
    said = {(one.customer, one.rule): one for one in explained(database)}
    decided_before = {(row.customer_id, row.rule, row.once) for row in rows(database, tables.decision)}
    plan(database, active, NOW)
    made = {
        (row.customer_id, row.rule): row
        for row in rows(database, tables.decision)
        if (row.customer_id, row.rule, row.once) not in decided_before
    }
    assert {rule for _, rule in made} == set(active.ruleset.rules), "every kind of trigger has fired"
    twins = 0
    for key, row in made.items():
        one, (verdict, reason) = said[key], told(row)
        if one.message:
            continue  # yesterday's waits, and that is what was asked about
        if reason.startswith("duplicate_address"):
            twins += 1  # the first of the two takes the address, and only then is the other a duplicate
            assert one.outcome.decision == "send"
            continue
        assert one.once == row.once, key
        assert (one.outcome.decision, one.outcome.reason) == (verdict, reason), (key, one.lines)
        if verdict == "send":
            assert one.outcome.channels[0] == row.channel
    assert twins > 0
    seen = {told(row) for row in made.values()}
    assert {verdict for verdict, _ in seen} == {"send", "hold", "skip"}
    skips = {reason.partition(".")[0] for verdict, reason in seen if verdict == "skip"}
    assert skips >= {"consent", "unreachable", "suppressed", "held_out"}, skips
    for key, one in said.items():
        if key not in made and not one.message and one.due is not None and one.due <= utc("2026-03-08 09:10"):
            assert one.outcome.decision in {"skip", "done"}, (key, one.outcome)


def test_the_second_time_everything_was_decided_before(database: Database, active: Active) -> None:
    plan(database, active, NOW)
    for one in explained(database):
        if one.message or one.due is None or one.due > utc("2026-03-08 09:10"):
            continue
        assert one.outcome.decision in {"done", "skip"}
        if one.outcome.decision == "skip":
            assert one.outcome.reason in {"who", "who.coverage"}, one
    sent = explain_rule(database, KEYRING, Question(customer="c03", now=NOW), "news")
    assert (sent.message != "", sent.outcome.decision) == (True, "send")
    assert sent.outcome.at == utc("2026-03-08 09:00")


def test_who_it_passed_by_is_named_with_the_line(database: Database, active: Active) -> None:
    plan(database, active, NOW)
    [missed] = [
        one
        for one in explain_rule(database, KEYRING, Question(customer="pro", now=NOW), "news").before
        if one.verdict == "miss"
    ]
    assert (missed.run, missed.reason, missed.place) == ("news/2026-W10", "who", "rules/rules.yaml:8")
    assert missed.values == {"country": "IT", "plan": "pro"}
    assert [line.verdict for line in missed.who] == [True, False]
    assert missed.release == active.id


@pytest.mark.usefixtures("active")
def test_every_verdict_on_the_way_is_yes_until_the_one_that_stops(database: Database) -> None:
    """And each condition names its file and line, each reason its gate."""
    for one in explained(database):
        verdicts = [line.verdict for line in one.lines if line.gate.partition("[")[0] not in {"who", "if", "segment"}]
        assert all(verdict is True for verdict in verdicts[:-1]), one
        for line in one.lines:
            if line.gate.partition("[")[0] in {"match", "who", "if", "segment"}:
                assert line.place.startswith("rules/"), line
        stops = one.outcome.decision in {"skip", "hold", "none", "done"}
        assert stops == any(line.verdict is not True for line in one.lines), one


def test_people_are_loaded_as_the_planner_loads_them(database: Database, active: Active) -> None:
    """As of this moment, rebuilt from the history and the ledger, everybody is whom the tables hold."""
    for name in people(database):
        with database.read() as connection:
            now = load_people(connection, [name])[name]
            then = load_subject(connection, active, KEYRING, name, now=utc("2026-03-09 00:00"), past=True, what_if={})
        assert then.person.consents == now.consents, name
        assert then.person.suppressed == now.suppressed
        assert then.person.customer == now.customer
