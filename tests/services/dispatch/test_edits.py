"""What an edit published between `send` and the claim does to what is queued: it must never cost a message."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import KEYRING, NOW, add_customers

from outbound.app import App
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.config import Settings
from outbound.domain.customer import ChannelName
from outbound.domain.message import Lane
from outbound.services import releases, sends
from outbound.services.bench.newsletter_shop import shop_files
from outbound.services.links import LinkMaker
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.smtp_server import SmtpServer

_RULE = """
rule: recall
owner: ops@shop.example
topic: newsletter
when: {script: {batch: string, site: string}}
once: "{key}"
send: {template: recall, channels: [email]}
"""
_SECTION = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"
_SERVICE = {"newsletter: {class: marketing,": "newsletter: {class: service,"}


def files(words: str, *names: str, policy: dict[str, str] = _SERVICE) -> dict[str, bytes]:
    """The shop with one rule and its template, which reads ``names``."""
    roots: dict[str, list[str]] = {}
    for name in names:
        root, _, field = name.partition(".")
        roots.setdefault(root, []).append(field)
    context = {root: f"[{', '.join(fields)}]" for root, fields in roots.items()}
    sample = {root: "{" + ", ".join(f"{field}: x" for field in fields) + "}" for root, fields in roots.items()}
    manifest = f"subject: {{en: Recall}}\ncontext: {_flow(context)}\nsample: {_flow(sample)}\n"
    shop = dict(shop_files())
    rules = shop["rules/policy.yaml"].decode()
    for old, new in policy.items():
        assert old in rules
        rules = rules.replace(old, new)
    shop.update(
        {
            "rules/policy.yaml": rules.encode(),
            "rules/newsletter.yaml": _RULE.encode(),
            "templates/recall/template.yaml": manifest.encode(),
            "templates/recall/email.mjml": _SECTION.format(words).encode(),
        }
    )
    return {path: content for path, content in shop.items() if not path.startswith("templates/letter/")}


def _flow(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[SmtpServer]:
    """A server that keeps what it accepts."""
    with SmtpServer(tmp_path) as server:
        yield server


@pytest.fixture
def app(database: Database, smtp: SmtpServer) -> App:
    """The service with Ada, who has a name and consents to the newsletter."""
    add_customers(database, ["c0001"], consent=False)
    consent = {"customer_id": "c0001", "topic": "newsletter", "channel": "", "state": "granted", "at": NOW}
    with database.write() as connection:
        connection.execute(tables.customer.update().values(attributes={"first_name": "Ada"}))
        evidence = {"evidence": {"basis": "consent"}, "recorded_at": NOW}
        connection.execute(tables.consent_event.insert(), {"id": "ce", **consent, **evidence})
        connection.execute(tables.consent.insert(), {"event_id": "ce", **consent})
    return App(
        settings=Settings(public_url="https://shop.example"),
        database=database,
        links=LinkMaker(keyring=KEYRING, public_url="https://shop.example"),
        adapters={ChannelName.EMAIL: SmtpAdapter(SmtpSettings(host="127.0.0.1", port=smtp.port, tls=Tls.NONE))},
    )


def publish(app: App, shop: dict[str, bytes], minute: int) -> str:
    published = releases.publish(app.database, shop, by="test", now=NOW + timedelta(minutes=minute))
    assert isinstance(published, releases.Published), published
    return published.id


def queue(app: App) -> None:
    """`outbound send` with what the running release says."""
    active = releases.active(app.database)
    assert active is not None
    who = [sends.Recipient(customer_id="c0001", line=1)]
    words = {"batch": "L77", "site": "Turin"}
    report = sends.send(
        app.database, active, rule="recall", recipients=who, arguments=words, key="k", by="test", now=NOW
    )
    assert report.new == 1, report


def dispatch(app: App, *, minutes: int = 0) -> Any:
    """One slice; the message's row afterwards."""

    async def main() -> None:
        dispatcher = app.dispatcher()
        await dispatcher.run_slice(Lane.BULK, now=NOW + timedelta(minutes=minutes))
        await dispatcher.close()

    asyncio.run(main())
    with app.database.read() as connection:
        return connection.execute(sa.select(tables.message)).one()


def test_a_template_that_reads_more_of_the_customer_gets_it(app: App, smtp: SmtpServer) -> None:
    """The words are those of the release active at the first claim, and so is what they read; kept for the retry."""
    publish(app, files("Batch {{ script.batch }}", "script.batch"), 0)
    queue(app)
    edited = publish(
        app, files("{{ customer.first_name }}: {{ script.batch }}", "script.batch", "customer.first_name"), 1
    )
    smtp.set_modes("sent=451 4.3.0 later times 1")
    row = dispatch(app, minutes=2)
    assert (row.state, row.detail, row.release) == ("ready", "deferred 451 4.3.0", edited)
    assert row.context == {"script": {"batch": "L77"}, "customer": {"first_name": "Ada"}}
    with app.database.write() as connection:
        connection.execute(tables.customer.update().values(attributes={"first_name": "Bea"}))
    publish(app, files("Other words {{ script.batch }}", "script.batch"), 3)
    again = dispatch(app, minutes=20)
    assert (again.state, again.release, again.body_hash) == ("sent", edited, row.body_hash)
    (mail,) = smtp.messages()
    assert b"Ada: L77" in mail


def test_a_template_that_reads_what_the_row_never_kept_leaves_the_message_its_planned_words(
    app: App, smtp: SmtpServer
) -> None:
    """An argument the planned template did not read is gone; the retry keeps to the planned words."""
    planned = publish(app, files("Batch {{ script.batch }}", "script.batch"), 0)
    queue(app)
    publish(app, files("{{ script.batch }} of {{ script.site }}", "script.batch", "script.site"), 1)
    smtp.set_modes("sent=451 4.3.0 later times 1")
    row = dispatch(app, minutes=2)
    assert (row.state, row.release, row.context) == ("ready", planned, {"script": {"batch": "L77"}})
    assert dispatch(app, minutes=20).state == "sent"
    (mail,) = smtp.messages()
    assert b"Batch L77" in mail


def test_a_topic_that_becomes_marketing_carries_its_link_and_keeps_it(app: App, smtp: SmtpServer) -> None:
    """Whether people can say no is asked of one release, that of the words: the first time and on every retry."""
    service = files("Batch {{ script.batch }}", "script.batch")
    publish(app, service, 0)
    queue(app)
    publish(app, files("Batch {{ script.batch }}", "script.batch", policy={}), 1)
    smtp.set_modes("sent=451 4.3.0 later times 1")
    row = dispatch(app, minutes=2)
    assert (row.state, row.detail) == ("ready", "deferred 451 4.3.0")
    publish(app, service, 3)
    again = dispatch(app, minutes=20)
    assert (again.state, again.detail, again.body_hash) == ("sent", "", row.body_hash)
    (mail,) = smtp.messages()
    assert b"List-Unsubscribe-Post" in mail
