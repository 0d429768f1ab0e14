"""What strangers set off has caps of its own (F84): a load of sign-ups fills no mailbox and costs no fortune."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from planning_kit import add_customer, balance, plan, publish, rows, rule_files, utc

from outbound.domain.customer import Event
from outbound.services.releases import Active
from outbound.storage import events, tables
from outbound.storage.database import Database

NOON = utc("2026-03-02 12:00")
SCHEMA = """
customer:
  id:    {type: string, required: true}
  email: {type: string}
  phone: {type: string}
events:
  order.placed: {order_id: {type: string}}
  signup.asked: {phone: {type: string}, email: {type: string}, ip: {type: string}}
"""
VERIFY = """
rule: verify
owner: shop@shop.example
topic: notices
when: {event: signup.asked}
once: "{event.id}"
expires: 1h
unknown_customer: create
send: {template: plain, channels: [sms, email]}
"""
ANSWER = """
rule: answer
owner: shop@shop.example
topic: notices
when: {event: request.access}
once: "{event.id}"
expires: 1h
send: {template: plain, channels: [email]}
"""
CAPS = "strangers: {per_address: 3, per_block: 20, per_ip: 30, cost: EUR 7}\n"


@dataclass(frozen=True)
class Asked:
    customer: str
    phone: str
    ip: str


def flood(database: Database, asked: Iterable[Asked], at: datetime) -> None:
    some = [
        Event(
            id=f"signup.asked/{at:%d}-{number}",
            name="signup.asked",
            customer_id=one.customer,
            data={"phone": one.phone, "ip": one.ip},
            at=at,
            received_at=at,
        )
        for number, one in enumerate(asked)
    ]
    with database.write() as connection:
        events.append(connection, some, now=at)


def queued(database: Database) -> int:
    return len(rows(database, tables.message))


def reasons(database: Database) -> Counter[str]:
    return Counter(f"{row.reason}.{row.detail}" for row in rows(database, tables.decision) if row.verdict == "skip")


@pytest.fixture
def active(database: Database) -> Active:
    files = rule_files(VERIFY, ANSWER, schema=SCHEMA)
    files = {**files, "rules/policy.yaml": files["rules/policy.yaml"] + CAPS.encode()}
    return publish(database, files, NOON - timedelta(days=30))


def test_f84_one_number_is_not_bombed_whoever_signs_it_up(database: Database, active: Active) -> None:
    """F84: 200 sign-ups of one number under 200 names, from 200 addresses: three texts, and three more the next day."""
    bomb = [Asked(f"c{n:03}", "+393401234567", f"198.51.{n}.7") for n in range(200)]
    flood(database, bomb, NOON)
    plan(database, active, NOON)
    assert queued(database) == 3
    assert reasons(database) == {"cap.strangers.per_address": 197}
    assert list(balance(database)) == [(200, 197, 3)]
    flood(database, bomb, NOON + timedelta(days=1))
    plan(database, active, NOON + timedelta(days=1))
    assert queued(database) == 6
    with database.read() as connection:
        counted = [row.key for row in connection.execute(tables.stranger_count.select())]
    assert not any("3401234567" in key or "198.51" in key for key in counted)


def test_f84_a_block_of_numbers_an_ip_address_and_the_day_have_their_caps(database: Database, active: Active) -> None:
    """F84, SMS pumping: 300 numbers of a block; 100 numbers of 100 blocks from one network; the money of the day."""
    flood(database, [Asked(f"b{n:03}", f"+39340123{n:04}", f"198.51.{n % 250}.7") for n in range(300)], NOON)
    plan(database, active, NOON)
    assert queued(database) == 20
    assert reasons(database) == {"cap.strangers.per_block": 280}
    one_network = [Asked(f"i{n:03}", f"+39347{n:03}4567", f"2001:db8:0:7:{n:x}::1") for n in range(100)]
    flood(database, one_network, NOON + timedelta(days=1))
    plan(database, active, NOON + timedelta(days=1))
    assert queued(database) == 20 + 30
    assert reasons(database)["cap.strangers.per_ip"] == 70
    botnet = [Asked(f"m{n:03}", f"+39349{n:03}4567", f"203.0.{n}.9") for n in range(200)]
    flood(database, botnet, NOON + timedelta(days=2))
    plan(database, active, NOON + timedelta(days=2))
    assert queued(database) == 20 + 30 + 50, "EUR 7 pay for 50 texts of two parts at EUR 0.07"
    assert reasons(database)["cap.strangers.cost"] == 150


def test_f84_requests_of_pages_and_texts_count_too_and_known_customers_orders_do_not(
    database: Database, active: Active
) -> None:
    """F84: what a page or a text asks for is anybody's; the cap is the address's, across customers who share it."""
    for who in ("ada", "bea"):
        add_customer(database, who, email="both@example.com")
    some = [
        Event(id=f"request.access/{n}", name="request.access", customer_id=who, data={}, at=NOON, received_at=NOON)
        for n, who in enumerate(["ada", "bea", "ada", "bea", "ada"])
    ]
    with database.write() as connection:
        events.append(connection, some, now=NOON)
    plan(database, active, NOON)
    assert queued(database) == 3
    assert reasons(database) == {"cap.strangers.per_address": 2}
