"""A small shop for planning tests: real rule files, real templates, real rows."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence
from outbound.domain.customer import ChannelName, Event
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.release import Files
from outbound.engine.timing.zones import zone_source
from outbound.services import planning, releases
from outbound.services.releases import Active
from outbound.storage import consents, customers, events, tables
from outbound.storage.customers import StoredAddress, Update
from outbound.storage.database import Database

KEYRING = Keyring.parse("k1:" + "5a" * 32)

POLICY = """
policy: 1
timezone: Europe/Rome
classes:
  security:      {consent: none, quiet: [], priority: 999, on_uncertain: resend, expires: 10m}
  transactional: {consent: none, quiet: [], priority: 900}
  service:       {consent: none, quiet: [], priority: 700}
  marketing:     {consent: opt_in, quiet: [email, sms], priority: 100, unsubscribe: required}
topics:
  orders:     {class: transactional, titles: {en: Orders}}
  notices:    {class: service, titles: {en: Notices}}
  newsletter: {class: marketing, titles: {en: Newsletter}}
channels:
  email: {cost: EUR 0.0004, sender: brand}
  sms:   {cost: EUR 0.07, max_parts: 2}
waterfall: {default: [email, sms], next_on: [unreachable, not_allowed]}
quiet_hours:
  default: {from: "21:00", to: "08:00"}
calendars:
  business-days: {weekend: [sat, sun], holidays: country}
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

SCHEMA = """
customer:
  id:           {type: string, required: true}
  email:        {type: string}
  phone:        {type: string}
  country:      {type: string}
  language:     {type: string}
  timezone:     {type: string}
  plan:         {type: enum, values: [free, pro]}
  birth_date:   {type: date}
  renewal_date: {type: date}
  points:       {type: number}
events:
  order.placed: {order_id: {type: string, required: true}, total: {type: number, required: true}, email: {type: string}}
  order.lost:   {order_id: {type: string, required: true}}
"""

_BRAND: dict[str, bytes] = {
    "templates/brand/brand.yaml": b"locales: {en: en_GB}\n",
    "templates/brand/layout.mjml": (
        b"<mjml><mj-head><mj-title>{{ subject }}</mj-title></mj-head><mj-body>{{ content }}"
        b"<mj-section><mj-column><mj-text>{% if marketing %}"
        b'<a href="{{ unsubscribe_url }}">Unsubscribe</a>{% endif %} {{ brand.postal_address }}</mj-text>'
        b"</mj-column></mj-section></mj-body></mjml>"
    ),
    "templates/brand/layout.txt": (
        b"{{ content }}\n\n"
        b"{% if marketing %}Unsubscribe: {{ unsubscribe_url }}\n{% endif %}{{ brand.postal_address }}\n"
    ),
    "templates/brand/layout.sms.txt": (
        b"{{ brand.name }}: {{ content }}{% if marketing %} Stop: {{ unsubscribe_url }}{% endif %}"
    ),
}

NEWSLETTER = """
rule: news
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00", tz: customer}
catch_up: 24h
send: {template: plain, channels: [email, sms]}
"""


def rule_files(*rules: str, schema: str = SCHEMA) -> Files:
    """A complete set with these rules and the template ``plain`` (reads nothing) and ``order`` (reads the event)."""
    return {
        "rules/policy.yaml": POLICY.encode(),
        "rules/schema.yaml": schema.encode(),
        "rules/rules.yaml": "\n---\n".join(rules).encode(),
        **_BRAND,
        "templates/plain/template.yaml": b"subject: {en: Hello}\n",
        "templates/plain/email.mjml": (
            b"<mj-section><mj-column><mj-text>Hello from the shop.</mj-text></mj-column></mj-section>"
        ),
        "templates/plain/sms.txt": b"Hello from the shop.",
        "templates/order/template.yaml": (
            b"subject: {en: Your order}\ncontext: {event: [order_id]}\nsample: {event: {order_id: A1}}\n"
        ),
        "templates/order/email.mjml": (
            b"<mj-section><mj-column><mj-text>Order {{ event.order_id }}.</mj-text></mj-column></mj-section>"
        ),
    }


def publish(database: Database, files: Files, at: datetime, *, include_current: bool = False) -> Active:
    """Publish, which must succeed, and answer what runs then."""
    published = releases.publish(database, files, by="test", now=at, include_current=include_current)
    assert isinstance(published, releases.Published), "\n".join(p.render() for p in published)
    active = releases.active(database)
    assert active is not None
    return active


def utc(text: str) -> datetime:
    """``2026-03-29 08:00`` in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def add_customer(
    database: Database,
    customer_id: str,
    *,
    email: str | None = "",
    phone: str | None = None,
    consent: bool = True,
    now: datetime | None = None,
    attributes: Mapping[str, Any] | None = None,
    **columns: Any,
) -> None:
    """A customer with an e-mail address of their own (None: none) and consent to the newsletter."""
    now = now or utc("2026-01-01 00:00")
    value = f"{customer_id}@example.com" if email == "" else email
    addresses: dict[ChannelName, StoredAddress | None] = {}
    if value:
        addresses[ChannelName.EMAIL] = StoredAddress(
            channel=ChannelName.EMAIL, value=value, hash=KEYRING.address_hash("email", value)
        )
    if phone:
        addresses[ChannelName.SMS] = StoredAddress(
            channel=ChannelName.SMS, value=phone, hash=KEYRING.address_hash("sms", phone)
        )
    columns.setdefault("country", "IT")
    update = Update(customer_id=customer_id, columns=columns, attributes=attributes or {}, addresses=addresses)
    with database.write() as connection:
        customers.apply(connection, update, source="test", now=now)
        source = zone_source(columns.get("timezone"), columns.get("country"), phone)
        customers.set_zone_source(connection, {customer_id: source})
        if consent:
            event = ConsentEvent(
                id=new_id(now),
                customer_id=customer_id,
                topic="newsletter",
                channel=None,
                state=ConsentState.GRANTED,
                at=now,
                recorded_at=now,
                evidence=Evidence(source="test", wording="yes"),
            )
            consents.record(connection, event)


def add_event(  # noqa: PLR0917 - reads like the event itself
    database: Database, event_id: str, name: str, customer_id: str, data: Mapping[str, Any], at: datetime
) -> None:
    """An event received when it happened, for the rules to see."""
    event = Event(id=event_id, name=name, customer_id=customer_id, data=dict(data), at=at, received_at=at)
    with database.write() as connection:
        events.append(connection, [event], now=at, fire=True)


def plan(database: Database, active: Active, at: datetime) -> planning.PlanReport:
    """One pass of planning."""
    return planning.plan_due(database, active, now=at, keyring=KEYRING)


def rows(database: Database, table: sa.Table) -> list[sa.Row[Any]]:
    """Every row of a table, in the order of its primary key."""
    with database.read() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key.columns)))


def messages(database: Database) -> dict[str, sa.Row[Any]]:
    """The messages by customer; a test with several for one customer reads ``rows``."""
    found = rows(database, tables.message)
    assert len({row.customer_id for row in found}) == len(found)
    return {row.customer_id: row for row in found}


def balance(database: Database) -> Iterable[tuple[int, int, int]]:
    """The equation: (candidates, skipped, messages) of each run, and that the decisions agree with them."""
    found = []
    with database.read() as connection:
        for run in connection.execute(sa.select(tables.run).order_by(tables.run.c.rule, tables.run.c.slot)):
            mine = tables.message.c.run_id == run.id
            messages = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
            decided = tables.decision.c.run_id == run.id
            decisions = connection.execute(sa.select(sa.func.count()).where(decided)).scalar_one()
            assert run.candidates == run.skipped + messages
            assert run.candidates == decisions
            found.append((run.candidates, run.skipped, messages))
    return found


def next_due_of(database: Database, active: Active, now: datetime) -> datetime | None:
    """When there is something to do next."""
    return planning.next_due(database, active, now=now)
