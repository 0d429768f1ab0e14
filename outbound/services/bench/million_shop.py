"""The shop of ``plan_million``: a newsletter with everything planning can be asked for, and a million customers.

The customers are made by set-wise SQL from their number alone, so that both databases hold the same ones and a
store is ready in a minute.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.release import Files
from outbound.services.bench.newsletter_shop import shop_files

PUBLISHED = datetime(2026, 10, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 8, 40, tzinfo=UTC)
"""Twenty minutes before the slot: 10:00 in Berlin, Vienna, Zurich, Rome and Paris, Tuesday 3 November 2026."""

EARLIER = "earlier"
"""The rule of the messages that left before: what caps count."""

_POLICY = """
policy: 1
timezone: Europe/Berlin
classes:
  transactional: {consent: none, caps: exempt, quiet: [sms], priority: 900}
  service: {consent: none, caps: count, quiet: [sms], priority: 700}
  security: {consent: none, caps: exempt, quiet: [], on_uncertain: resend, expires: 10m, priority: 999}
  marketing: {consent: opt_in, caps: apply, quiet: [email, sms], priority: 100, unsubscribe: required}
topics:
  newsletter: {class: marketing, consent: {email: double_opt_in}, titles: {en: Newsletter}}
channels:
  email: {cost: EUR 0.0004, sender: brand}
  sms: {cost: {DE: EUR 0.075, default: EUR 0.09}, max_parts: 2}
waterfall: {default: [email, sms], next_on: [unreachable, not_allowed]}
quiet_hours:
  default: {from: "21:00", to: "08:00"}
  FR: {from: "20:00", to: "08:00", closed: [sun, holidays]}
caps:
  - {class: marketing, max: 1, per: day}
  - {class: marketing, max: 3, per: 168h}
  - {channel: sms, max: 4, per: month}
holdout: {share: 5%, id: global-2026}
zones: {US: America/New_York}
brand:
  name: Shop
  senders:
    marketing: "Shop <news@shop.example>"
    service: "Shop <hello@shop.example>"
    transactional: "Shop <orders@shop.example>"
    security: "Shop <security@shop.example>"
  reply_to: hello@shop.example
  address: "Example Street 1, Berlin"
  languages: [en]
  fallback: en
"""
_SCHEMA = """
customer:
  id: {type: string, required: true}
  email: {type: string}
  phone: {type: string}
  country: {type: enum, values: [DE, AT, CH, IT, FR]}
  first_name: {type: string}
  status: {type: enum, values: [active, closed], required: true}
  plan: {type: enum, values: [free, pro]}
  renewal_date: {type: date}
events:
  order.placed: {order_id: {type: string, required: true}, total: {type: number, required: true}}
"""
_RULE = """
rule: newsletter
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=MONTHLY;BYDAY=1TU, at: "10:00", tz: customer}
who:
  - customer.country in ['DE', 'AT', 'CH', 'IT']
  - customer.status == 'active'
  - (customer.plan ?? 'free') != 'free'
  - days_until(customer.renewal_date) > 30
  - happened(order.placed, within 52w, where event.total >= 20)
send: {template: letter, channels: [email, sms]}
"""

_INSTANT = "'2026-10-01 00:00:00.000000'"
_ID = "'c-' || substr(CAST(10000000 + i AS TEXT), 2)"

# Each column is a pure function of the customer's number: {d:K} draws 0..99 from it, anew for each K.
_STATEMENTS = (
    """INSERT INTO customer (id, country, language, preferred_channel, quiet_from, quiet_to, zone_source, attributes,
         created_at, updated_at)
       SELECT {id}, country, CASE WHEN {d:2} < 30 THEN 'en' END,
         CASE WHEN {d:3} < 10 THEN 'sms' WHEN {d:3} < 25 THEN 'email' END,
         CASE WHEN {d:4} < 3 THEN '19:00' END, CASE WHEN {d:4} < 3 THEN '11:30' END, 'country:' || country,
         {json:'{"first_name":"Name ' || i || '","status":"' || CASE WHEN {d:5} < 90 THEN 'active' ELSE 'closed' END
           || CASE WHEN {d:6} < 60 THEN '","plan":"pro' WHEN {d:6} < 95 THEN '","plan":"free' ELSE '' END
           || '","renewal_date":"2027-0' || (1 + {d:7} % 9) || '-15"}'}, {at}, {at}
       FROM (SELECT i, CASE {d:1} % 10 WHEN 0 THEN 'FR' WHEN 1 THEN 'FR' WHEN 2 THEN 'AT' WHEN 3 THEN 'CH'
               WHEN 4 THEN 'IT' WHEN 5 THEN 'IT' ELSE 'DE' END AS country FROM {numbers}) AS drawn""",
    """INSERT INTO address (customer_id, channel, value, hash, state, updated_at)
       SELECT {id}, 'email', {id} || '@example.com', {hash} || 'e', 'ok', {at} FROM {numbers} WHERE {d:8} < 92""",
    """INSERT INTO address (customer_id, channel, value, hash, state, updated_at)
       SELECT {id}, 'sms', '+49151' || (10000000 + i), {hash} || 's',
         CASE WHEN {d:10} < 4 THEN 'unreachable' ELSE 'ok' END, {at} FROM {numbers} WHERE {d:9} < 60""",
    """INSERT INTO consent (customer_id, topic, channel, state, address, at, event_id)
       SELECT {id}, 'newsletter', '', CASE WHEN {d:11} < 84 THEN 'granted' ELSE 'withdrawn' END,
         CASE WHEN {d:12} < 97 THEN {id} || '@example.com' END, {at}, 'consent-' || {id}
       FROM {numbers} WHERE {d:11} < 90""",
    """INSERT INTO consent_event (id, customer_id, topic, channel, state, at, recorded_at, evidence)
       SELECT event_id, customer_id, topic, channel, state, at, at, {json:'{"source":"bench","basis":"consent"}'}
       FROM consent""",
    """INSERT INTO suppression (channel, scope, hash, reason, at)
       SELECT 'email', CASE WHEN {d:14} < 50 THEN 'all' ELSE 'marketing' END, {hash} || 'e', 'bounced.hard', {at}
       FROM {numbers} WHERE {d:8} < 92 AND {d:13} < 1""",
    """INSERT INTO event (id, customer_id, name, data, at, received_at, handled_at, source)
       SELECT 'order-' || i, {id}, 'order.placed', {json:'{"order_id":"o' || i || '","total":' || {d:16} || '}'},
         {at}, {at}, {at}, 'bench' FROM {numbers} WHERE {d:15} < 90""",
    # Newsletters that left this morning and last week: what caps count.
    """INSERT INTO message (id, run_id, rule, rule_version, release, once, customer_id, step, template, variant, topic,
         message_class, lane, priority, channels, context, not_before, local_time, zone, expires, on_uncertain, state,
         reason, detail, held_by, leg, attempts, lease_token, worker, message_id, body_hash, language, depth,
         created_at, updated_at, sent_at)
       SELECT 'earlier-' || i, 'earlier', 'earlier', '', '', 'o', {id}, '', 'letter', '', 'newsletter', 'marketing',
         'bulk', 100, 'email', {json:'{}'}, {sent}, '', '', {sent}, 'hold', 'sent', '', '', '', 1, 1, 1, '', '', '',
         '', 0, {sent}, {sent}, {sent} FROM {numbers} WHERE {d:17} < 5""",
    """INSERT INTO leg (message_id, n, channel, customer_id, address, account, provider_ref, moved_on, cost, at)
       SELECT id, 1, 'email', customer_id, customer_id || '@example.com', '', '', '', 400, sent_at
       FROM message WHERE rule = 'earlier'""",
)


def million_files() -> Files:
    """Rules and templates of the shop."""
    texts = {
        "rules/policy.yaml": _POLICY,
        "rules/schema.yaml": _SCHEMA,
        "rules/newsletter.yaml": _RULE,
        "templates/letter/sms.txt": "News from the shop, {{ customer.first_name | default('there') }}.",
        "templates/brand/layout.sms.txt": "{{ content }}{% if marketing %} Stop: {{ unsubscribe_url }}{% endif %}",
    }
    return {**shop_files(), **{path: text.encode() for path, text in texts.items()}}


def seed(connection: Connection, people: int) -> None:
    """Insert ``people`` customers with addresses, consents, blocks, orders and earlier messages."""
    sqlite = connection.dialect.name == "sqlite"
    for statement in _STATEMENTS:
        connection.exec_driver_sql(_spelled(statement, people, sqlite=sqlite))
    connection.execute(sa.text("ANALYZE"))


def _spelled(statement: str, people: int, *, sqlite: bool) -> str:
    """The statement in the database's dialect, with the draws written out."""
    numbers = (
        f"(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {people}) SELECT i FROM n) AS n"
        if sqlite
        else f"(SELECT g::bigint AS i FROM generate_series(0, {people - 1}) AS g) AS n"
    )
    at = _INSTANT if sqlite else f"TIMESTAMPTZ {_INSTANT[:-1]}+00'"
    week = "CASE WHEN {d:17} < 3 THEN '2026-11-03 06:00:00.000000' ELSE '2026-10-30 09:00:00.000000' END"
    sent = week if sqlite else f"CAST({week} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    text = statement.replace("{sent}", sent).replace("{at}", at).replace("{numbers}", numbers).replace("{id}", _ID)
    text = text.replace("{hash}", "CAST((i + 1) * 48271 % 2147483647 AS TEXT)")
    for draw in range(1, 18):
        text = text.replace(f"{{d:{draw}}}", f"((i + {draw}) * {48271 + 7914 * draw} % 2147483647 / 7 % 100)")
    while (start := text.find("{json:")) >= 0:
        end = _closing(text, start)
        inner = text[start + len("{json:") : end]
        text = text[:start] + (f"({inner})" if sqlite else f"CAST({inner} AS JSONB)") + text[end + 1 :]
    return text if sqlite else text.replace("%", "%%")


def _closing(text: str, start: int) -> int:
    """Where the brace opened at ``start`` closes."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError("an open brace")
