"""The installation that is soaked: its files, and the people in it. Nothing in it depends on the hour."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from outbound.engine.timing.zones import zone_named

CANARY = "zqcanary"
"""Stands in every address; no log may carry it."""
PHONES = "+3934766"
"""Every number begins so; no log may carry it."""
SECRET = "5a" * 32
TOKEN = "zq-double-token"  # noqa: S105 - the double's own, opens nothing
ZONE = zone_named("Europe/Rome")

_POLICY = """
policy: 1
timezone: Europe/Rome
classes:
  security:      {consent: none, quiet: [], on_uncertain: resend, priority: 999}
  transactional: {consent: none, quiet: [], priority: 900}
  service:       {consent: none, quiet: [], priority: 700}
  marketing:     {consent: opt_in, quiet: [], priority: 100, unsubscribe: required}
topics:
  codes:      {class: security, titles: {en: Codes}}
  orders:     {class: transactional, titles: {en: Orders}}
  notices:    {class: service, titles: {en: Notices}}
  newsletter: {class: marketing, titles: {en: The letter}}
  digest:     {class: marketing, titles: {en: The digest}}
channels:
  email: {cost: EUR 0.0004, sender: brand}
  sms:   {cost: EUR 0.07, max_parts: 2}
waterfall: {default: [email, sms], next_on: [unreachable, not_allowed, bounced]}
quiet_hours:
  default: {from: "21:00", to: "08:00"}
caps:
  - {class: marketing, max: 4, per: day}
loops: {depth: 5, per_day: 1000}
suppress:
  - {event: bounced.hard, channel: email}
brand:
  name: Shop
  senders:
    marketing: "Shop <news@shop.example>"
    service: "Shop <hello@shop.example>"
    transactional: "Shop <orders@shop.example>"
    security: "Shop <codes@shop.example>"
  reply_to: hello@shop.example
  address: "Example Street 1, Rome"
  languages: [en]
  fallback: en
"""

_SCHEMA = """
customer:
  id:         {type: string, required: true}
  email:      {type: string}
  phone:      {type: string}
  country:    {type: string}
  first_name: {type: string}
events:
  order.placed: {order_id: {type: string, required: true}}
  login.asked:  {code: {type: string, required: true}}
"""

_RULES = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
expires: 48h
send: {template: receipt, channels: [email]}
---
rule: code
owner: ops@shop.example
topic: codes
when: {event: login.asked}
once: "{event.code}"
expires: 48h
send: {template: code, channels: [email]}
---
rule: notice
owner: ops@shop.example
topic: notices
when: {script: {what: string}}
once: "{key}"
send: {template: notice, channels: [email, sms]}
---
rule: text
owner: ops@shop.example
topic: notices
when: {script: {what: string}}
once: "{key}"
send: {template: notice, channels: [sms]}
---
rule: letter
owner: crm@shop.example
topic: newsletter
when: {script: {}}
once: "{key}"
send: {template: letter, channels: [email]}
"""
_DIGEST = """---
rule: digest-{number}
owner: crm@shop.example
topic: digest
when: {{schedule: {day}, at: "{time}", tz: Europe/Rome}}
once: "{{period}}"
active: {{until: "{after}T00:00"}}
send: {{template: letter, channels: [email]}}
"""

_LAYOUT = """<mjml><mj-head><mj-title>{{ subject }}</mj-title></mj-head><mj-body>{{ content }}
<mj-section><mj-column><mj-text>
{% if marketing %}<a href="{{ unsubscribe_url }}">Unsubscribe</a>{% endif %} {{ brand.postal_address }}
</mj-text></mj-column></mj-section></mj-body></mjml>"""
_TEXT_LAYOUT = "{{ content }}\n\n{% if marketing %}Stop: {{ unsubscribe_url }}\n{% endif %}{{ brand.postal_address }}\n"
_SECTION = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"

_FILES = {
    "rules/policy.yaml": _POLICY,
    "rules/schema.yaml": _SCHEMA,
    "templates/brand/brand.yaml": "locales: {en: en_GB}\n",
    "templates/brand/layout.mjml": _LAYOUT,
    "templates/brand/layout.txt": _TEXT_LAYOUT,
    "templates/brand/layout.sms.txt": "{{ content }}",
    "templates/receipt/template.yaml": (
        "subject: {en: Your order}\ncontext: {event: [order_id]}\nsample: {event: {order_id: A1}}\n"
    ),
    "templates/receipt/email.mjml": _SECTION.format("Order {{ event.order_id }}."),
    "templates/code/template.yaml": "subject: {en: Your code}\ncontext: {event: [code]}\nsample: {event: {code: A1}}\n",
    "templates/code/email.mjml": _SECTION.format("Your code is {{ event.code }}."),
    "templates/notice/template.yaml": (
        "subject: {en: A notice}\ncontext: {script: [what]}\nsample: {script: {what: x}}\n"
    ),
    "templates/notice/email.mjml": _SECTION.format("About {{ script.what }}."),
    "templates/notice/sms.txt": "About {{ script.what }}.",
    "templates/letter/template.yaml": "subject: {en: The letter}\n",
    "templates/letter/email.mjml": _SECTION.format("Hello from the shop."),
    "customers.yaml": """import: customers
source: soak
format: csv
key: id
fields: {email: email, phone: phone, country: country, first_name: first_name}
consents:
  - topic: newsletter
    channel: email
    when: {column: letter, in: ["yes"]}
    at: {column: consent_at}
    wording: "Yes, write to me."
  - topic: digest
    channel: email
    when: {column: letter, in: ["yes"]}
    at: {column: consent_at}
    wording: "Yes, write to me."
""",
    "orders.yaml": """import: events
source: soak
format: jsonl
event: order.placed
customer: customer
id: order_id
at: {column: at}
data: {order_id: order_id}
""",
}

_SETTINGS = """environment = "test"
[server]
port = 0
[dispatch]
tick = 0.5
drain = 10.0
[email]
adapter = "smtp"
host = "127.0.0.1"
port = {smtp}
tls = "none"
connections = 8
reply_timeout = 4.0
[sms]
adapter = "twilio"
account_sid = "{account}"
from_number = "+15005550006"
api_base = "http://127.0.0.1:{twilio}"
[safety]
only_to = ["*@example.org", "+39*"]
"""


def write_shop(
    folder: Path, *, smtp: int, twilio: int, account: str, database_url: str, now: datetime, minutes: float
) -> None:
    """A workspace that sends to these ports, with a digest in every other minute of the soak."""
    days = [_digest(number, now + timedelta(minutes=1 + 2 * number)) for number in range(int(minutes / 2) + 1)]
    files = dict(_FILES)
    files["rules/rules.yaml"] = _RULES + "".join(days)
    files["outbound.toml"] = _SETTINGS.format(smtp=smtp, twilio=twilio, account=account)
    secrets = {"SECRET_KEY": f"k1:{SECRET}", "TWILIO_AUTH_TOKEN": TOKEN}
    if database_url:
        secrets["DATABASE_URL"] = database_url
    files[".env"] = "".join(f"OUTBOUND_{name}={value}\n" for name, value in secrets.items())
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / ".env").chmod(0o600)


def customer_id(number: int) -> str:
    """Every ninth customer's mail bounces; the number of every seventh has opted out (see ``STANDING``)."""
    return f"{'gone' if number % 9 == 0 else 'here'}{number:06}"


MAIL_STANDING = ("rcpt=550 5.1.1 no such user for ^gone", "sent=delay 0.1")
TEXT_STANDING = ("request=400 21610 for 7$", "sent=delay 0.1")
"""What always applies: people who left, people who opted out at the provider, and answers that take their time, so
that every kill meets messages that are handed over."""


def customers_csv(numbers: Iterable[int], *, now: datetime) -> str:
    """People with both addresses who want every letter."""
    at = now.astimezone(UTC) - timedelta(days=30)
    lines = ["id,email,phone,country,first_name,letter,consent_at"]
    for number in numbers:
        name = customer_id(number)
        lines.append(f"{name},{name}.{CANARY}@example.org,{PHONES}{number:05},IT,Ada,yes,{at:%Y-%m-%dT%H:%MZ}")
    return "\n".join(lines) + "\n"


def _digest(number: int, at: datetime) -> str:
    local = at.astimezone(ZONE)
    after = local.date() + timedelta(days=2)
    return _DIGEST.format(number=number, day=local.date(), time=f"{local:%H:%M}", after=after)
