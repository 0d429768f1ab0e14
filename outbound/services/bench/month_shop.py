"""The shop of the benches that look ahead: twenty rules of every kind that a calendar can start, and its customers."""

import random
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy.engine import Connection

from outbound.domain.release import Files
from outbound.services import releases
from outbound.services.bench.newsletter_shop import PUBLISHED, shop_files
from outbound.storage import tables
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.database import Database
from outbound.storage.schema import migrate

_POLICY_PARTS = """
caps:
  - {class: marketing, max: 1, per: day}
  - {class: marketing, max: 3, per: 168h}
arbitration: {window: 15m, losers: defer}
"""
_TOPICS = """topics:
  newsletter: {class: marketing, titles: {en: Newsletter}}
  gifts: {class: marketing, priority: 250, titles: {en: Birthday wishes}}
  offers: {class: marketing, priority: 200, titles: {en: Offers}}
  contracts: {class: service}
"""
_LETTERS = (
    ("FREQ=MONTHLY;BYDAY=1TU", 0, 100),
    ("FREQ=MONTHLY;BYDAY=1TH", 0, 60),
    ("FREQ=MONTHLY;BYDAY=2TU", 40, 100),
    ("FREQ=MONTHLY;BYDAY=2TH", 20, 80),
    ("FREQ=MONTHLY;BYDAY=3TU", 0, 100),
    ("FREQ=MONTHLY;BYDAY=3TH", 70, 100),
    ("FREQ=WEEKLY;BYDAY=MO", 0, 15),
    ("FREQ=WEEKLY;BYDAY=WE", 15, 30),
    ("FREQ=WEEKLY;BYDAY=FR", 30, 45),
    ("FREQ=WEEKLY;BYDAY=SA", 45, 60),
    ("FREQ=WEEKLY;BYDAY=SU", 60, 75),
)
"""When, and for whom by score: six monthly letters for many, five weekly ones for a few."""
_WITH_PHONE, _WITH_CONSENT = 0.3, 0.45
_COUNTRIES = ("IT", "DE", "FR", "US")
_CUSTOMER = ("id", "country", "zone_source", "attributes", "created_at", "updated_at")
_ADDRESS = ("customer_id", "channel", "value", "hash", "state", "updated_at")
_CONSENT = ("customer_id", "topic", "channel", "state", "at", "event_id")
_EVENT = ("id", "customer_id", "name", "data", "at", "received_at", "handled_at", "source")


def month_files() -> Files:
    """Policy, templates and twenty rules: eleven schedules, four date rules, three events, a change, a segment."""
    files = dict(shop_files())
    policy = files["rules/policy.yaml"].decode()
    begin, end = policy.index("topics:"), policy.index("channels:")
    files["rules/policy.yaml"] = (policy[:begin] + _TOPICS + policy[end:] + _POLICY_PARTS).encode()
    files["rules/schema.yaml"] = _SCHEMA.encode()
    files["rules/segments.yaml"] = _SEGMENTS.encode()
    files["rules/newsletter.yaml"] = "---\n".join(_rules()).encode()
    files["templates/letter/sms.txt"] = b"News from the shop, {{ customer.first_name | default('there') }}."
    files["templates/brand/layout.sms.txt"] = b"{{ content }}{% if marketing %} Stop: {{ unsubscribe_url }}{% endif %}"
    return files


_SCHEMA = """
customer:
  id: {type: string, required: true}
  email: {type: string}
  phone: {type: string}
  country: {type: string}
  first_name: {type: string}
  plan: {type: enum, values: [free, pro]}
  score: {type: number}
  birth_date: {type: date}
  renewal_date: {type: date}
events:
  order.placed: {order_id: {type: string, required: true}, total: {type: number, required: true}}
  order.shipped: {order_id: {type: string, required: true}}
  cart.left: {cart_id: {type: string, required: true}}
"""
_SEGMENTS = """
segment: regulars
if:
  - count(order.placed, within 52w) >= 2
"""


def _rule(name: str, topic: str, when: str, who: str = "has(customer.email)", more: str = "") -> str:
    return (
        f"rule: {name}\nowner: crm@shop.example\ntopic: {topic}\nwhen: {when}\nwho:\n  - {who}\n{more}"
        "send: {template: letter, channels: [email, sms]}\n"
    )


def _rules() -> list[str]:
    rules: list[str] = []
    for number, (recurrence, least, most) in enumerate(_LETTERS):
        when = (
            f'{{schedule: {recurrence}, at: "{8 + number:02}:00", tz: {"customer" if number % 2 else "Europe/Rome"}}}'
        )
        who = f"customer.score >= {least} and customer.score < {most}"
        rules.append(_rule(f"letter-{number}", "newsletter" if number % 2 else "offers", when, who))
    every = '{date: customer.birth_date, every: year, at: "08:30", tz: customer, feb29: feb28}'
    rules.append(_rule("birthday", "gifts", every))
    for days in (3, 14, 30):
        when = f'{{date: customer.renewal_date, offset: -{days}d, at: "09:00", tz: customer}}'
        rules.append(_rule(f"renewal-{days}", "contracts", when))
    events = ("order.placed", "order.shipped", "cart.left")
    return [
        *rules,
        *(_rule(name.replace(".", "-"), "contracts", f"{{event: {name}}}") for name in events),
        _rule("upgrade", "contracts", "{changed: customer.plan, to: pro}"),
        _rule("regulars", "offers", "{enters: regulars}"),
    ]


def prepare(file: Path, people: int) -> None:
    """A store with the release published and everybody in it."""
    database = Database(f"sqlite:///{file}")
    try:
        migrate(database)
        published = releases.publish(database, month_files(), by="bench", now=PUBLISHED)
        if not isinstance(published, releases.Published):
            problems = "\n".join(problem.render() for problem in published)
            raise AssertionError(problems)  # noqa: TRY004 - the value is an answer, not a wrong type
        with database.write() as connection:
            seed(connection, people)
    finally:
        database.close()


def seed(connection: Connection, people: int) -> None:
    """Insert ``people`` customers with addresses, most with consent, and two years of orders; the same each time."""
    draw = random.Random(19_972)  # noqa: S311 - a benchmark needs the same customers each time, not secrecy
    write = instant_writer(connection)
    at = write(PUBLISHED)
    customers, addresses, consents, orders = [], [], [], []
    for number in range(people):
        identity = f"c-{number:07}"
        country = draw.choice(_COUNTRIES)
        attributes = {
            "first_name": f"Name {number}",
            "plan": draw.choice(("free", "pro")),
            "score": draw.randint(0, 99),
            "birth_date": (date(1950, 1, 1) + timedelta(days=draw.randint(0, 19_000))).isoformat(),
            "renewal_date": (PUBLISHED.date() + timedelta(days=draw.randint(0, 365))).isoformat(),
        }
        customers.append((identity, country, f"country:{country}", json_text(attributes), at, at))
        addresses.append((identity, "email", f"{identity}@example.com", f"mail-{identity}", "ok", at))
        if draw.random() < _WITH_PHONE:
            addresses.append((identity, "sms", f"+3933{number:08}", f"text-{identity}", "ok", at))
        if draw.random() < _WITH_CONSENT:
            consents += [
                (identity, topic, "", "granted", at, f"{topic}-{identity}")
                for topic in ("newsletter", "gifts", "offers")
            ]
        for order in range(draw.choice((0, 0, 1, 2, 4))):
            moment = write(PUBLISHED - timedelta(days=draw.randint(1, 700)))
            told = json_text({"order_id": f"{number}-{order}", "total": draw.randint(5, 200)})
            orders.append((f"o-{number}-{order}", identity, "order.placed", told, moment, moment, moment, "bench"))
    insert_ignore(connection, tables.customer, _CUSTOMER, customers)
    insert_ignore(connection, tables.address, _ADDRESS, addresses)
    insert_ignore(connection, tables.consent, _CONSENT, consents)
    insert_ignore(connection, tables.event, _EVENT, orders)
