"""The shop of the planning bench: one newsletter, and as many seeded customers with consent as asked for."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from outbound.domain.release import Files
from outbound.storage import tables
from outbound.storage.bulk import insert_ignore, instant_writer, json_text

PUBLISHED = datetime(2026, 10, 1, tzinfo=UTC)
SLOT = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
"""10:00 in Rome on the first Tuesday of November."""

_POLICY = """
policy: 1
timezone: Europe/Rome
classes:
  transactional: {consent: none, quiet: [sms], priority: 900}
  service: {consent: none, quiet: [sms], priority: 700}
  security: {consent: none, quiet: [], on_uncertain: resend, expires: 10m, priority: 999}
  marketing: {consent: opt_in, quiet: [email, sms], priority: 100, unsubscribe: required}
topics:
  newsletter: {class: marketing, titles: {en: Newsletter}}
channels:
  email: {cost: EUR 0.0004, sender: brand}
  sms: {cost: EUR 0.07, max_parts: 2}
waterfall: {default: [email], next_on: [unreachable]}
quiet_hours:
  default: {from: "21:00", to: "08:00"}
zones: {US: America/New_York}
brand:
  name: Shop
  senders:
    marketing: "Shop <news@shop.example>"
    service: "Shop <hello@shop.example>"
    transactional: "Shop <orders@shop.example>"
    security: "Shop <security@shop.example>"
  reply_to: hello@shop.example
  address: "Example Street 1, Rome"
  languages: [en]
  fallback: en
"""
_SCHEMA = """
customer:
  id: {type: string, required: true}
  email: {type: string}
  country: {type: string}
  first_name: {type: string}
  renewal_date: {type: date}
events:
  order.placed: {order_id: {type: string, required: true}}
"""
_RULE = """
rule: newsletter
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=MONTHLY;BYDAY=1TU, at: "10:00", tz: Europe/Rome}
who:
  - has(customer.email)
  - customer.country in ['IT', 'DE', 'FR', 'US']
  - not happened(order.placed, within 3d)
send: {template: letter, channels: [email]}
"""
_BODY = (
    "<mj-section><mj-column><mj-text>Hello {{ customer.first_name | default('there') }}"
    "</mj-text></mj-column></mj-section>"
)
_LAYOUT = (
    "<mjml><mj-body>{{ content }}<mj-section><mj-column><mj-text>{% if marketing %}"
    '<a href="{{ unsubscribe_url }}">Unsubscribe</a>{% endif %} {{ brand.postal_address }}'
    "</mj-text></mj-column></mj-section></mj-body></mjml>"
)
_TEXT_LAYOUT = "{{ content }}\n{% if marketing %}{{ unsubscribe_url }}\n{% endif %}{{ brand.postal_address }}\n"

_CUSTOMER = ("id", "country", "zone_source", "attributes", "created_at", "updated_at")
_ADDRESS = ("customer_id", "channel", "value", "hash", "state", "updated_at")
_CONSENT = ("customer_id", "topic", "channel", "state", "at", "event_id")
_CONSENT_EVENT = ("id", "customer_id", "topic", "channel", "state", "at", "recorded_at", "evidence")
_EVENT = ("id", "customer_id", "name", "data", "at", "received_at", "handled_at", "source")


def shop_files() -> Files:
    """Rules and templates of the shop."""
    texts = {
        "rules/policy.yaml": _POLICY,
        "rules/schema.yaml": _SCHEMA,
        "rules/newsletter.yaml": _RULE,
        "templates/brand/brand.yaml": "locales: {en: en_GB}\n",
        "templates/brand/layout.mjml": _LAYOUT,
        "templates/brand/layout.txt": _TEXT_LAYOUT,
        "templates/brand/layout.sms.txt": "{{ content }}",
        "templates/letter/template.yaml": (
            "subject: {en: News}\ncontext: {customer: [first_name]}\nsample: {customer: {first_name: Ada}}\n"
        ),
        "templates/letter/email.mjml": _BODY,
    }
    return {path: text.encode() for path, text in texts.items()}


def seed(connection: Connection, people: int) -> None:
    """Insert ``people`` customers with e-mail, consent and a few orders long past; the same ones each time."""
    draw = random.Random(19_972)  # noqa: S311 - a benchmark needs the same customers each time, not secrecy
    at = instant_writer(connection)(PUBLISHED)
    ids = [f"c-{number:07}" for number in range(people)]
    insert_ignore(connection, tables.customer, _CUSTOMER, (_customer(draw, c, at) for c in ids))
    insert_ignore(
        connection, tables.address, _ADDRESS, ((c, "email", f"{c}@example.com", f"hash-{c}", "ok", at) for c in ids)
    )
    insert_ignore(
        connection, tables.consent, _CONSENT, ((c, "newsletter", "", "granted", at, f"consent-{c}") for c in ids)
    )
    evidence = json_text({"source": "bench", "basis": "consent"})
    insert_ignore(
        connection,
        tables.consent_event,
        _CONSENT_EVENT,
        ((f"consent-{c}", c, "newsletter", "", "granted", at, at, evidence) for c in ids),
    )
    writer = instant_writer(connection)
    orders = []
    for c in ids:
        for number in range(draw.choice((0, 0, 1, 2))):
            moment = writer(PUBLISHED - timedelta(days=draw.randint(1, 300)))
            order = json_text({"order_id": f"{c}-{number}"})
            orders.append((f"order-{c}-{number}", c, "order.placed", order, moment, moment, moment, "bench"))
    insert_ignore(connection, tables.event, _EVENT, orders)


def _customer(draw: random.Random, customer_id: str, at: Any) -> tuple[Any, ...]:
    country = draw.choice(("IT", "IT", "DE", "FR", "US"))
    renewal = date(2026, 11, 1) + timedelta(days=draw.randint(0, 365))
    attributes = json_text({"first_name": f"Name {customer_id[-4:]}", "renewal_date": renewal.isoformat()})
    return (customer_id, country, f"country:{country}", attributes, at, at)
