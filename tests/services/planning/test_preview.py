"""Preview shows the real message; a proof is delivered, marked and counted nowhere."""

import asyncio
import re
from dataclasses import replace

import pytest
from planning_kit import KEYRING, NEWSLETTER, add_customer, add_event, publish, rows, rule_files, utc

from outbound.channels.base import Capabilities, Handover, Parcel
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered, RenderedEmail, RenderedSms, RenderStop
from outbound.services import planning
from outbound.services.links import LinkMaker
from outbound.services.preview import preview, proof
from outbound.services.releases import Active
from outbound.storage import customers, tables
from outbound.storage.database import Database

NOW = utc("2026-03-02 12:00")
RECEIPT = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed}
send: {template: order, channels: [email]}
"""


class Recorder:
    """An adapter that keeps what it is given."""

    name = "recorder"
    capabilities = Capabilities(channel=ChannelName.EMAIL, receipts=False)

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.envelopes: list[EmailEnvelope | None] = []

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        self.envelopes.append(envelope)
        return (rendered.subject if isinstance(rendered, RenderedEmail) else rendered.text).encode()

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        assert await handover()
        self.parcels.append(parcel)
        return Outcome(kind=OutcomeKind.ACCEPTED)

    async def close(self) -> None:
        return None


@pytest.fixture
def active(database: Database) -> Active:
    active = publish(database, rule_files(NEWSLETTER, RECEIPT), utc("2026-01-02 00:00"))
    add_customer(database, "ada")
    return active


def _preview(database: Database, active: Active, rule: str, customer: str = "ada"):  # noqa: ANN202 - the function's own
    return preview(database, active, rule=rule, customer_id=customer, public_url="https://shop.example")


def test_a_preview_shows_each_channel_and_its_links_act_for_nobody(database: Database, active: Active) -> None:
    email, sms = _preview(database, active, "news")
    assert isinstance(email.content, RenderedEmail)
    assert isinstance(sms.content, RenderedSms)
    assert "https://shop.example/u/preview" in email.content.html
    assert rows(database, tables.message) == []


def test_f86_the_links_of_a_preview_are_no_tokens(database: Database, active: Active) -> None:
    """F86: whoever clicks every link of a preview changes nothing, because nothing in it names a customer."""
    for shown in _preview(database, active, "news"):
        assert not isinstance(shown.content, RenderStop)
        body = shown.content.html if isinstance(shown.content, RenderedEmail) else shown.content.text
        links = re.findall(r"https://shop\.example/u/([^\s\"<]+)", body)
        assert links == ["preview"] * len(links)
        assert links
        assert LinkMaker(KEYRING, "https://shop.example").read_unsubscribe(links[0]) is None


def test_every_language_is_shown_once(database: Database) -> None:
    """Also where the customer has another; a channel written in one language alone is shown in that one."""
    files = rule_files(NEWSLETTER)
    policy = files["rules/policy.yaml"].replace(b"languages: [en]", b"languages: [en, it]")
    policy = policy.replace(b"{en: Newsletter}", b"{en: Newsletter, it: Lettera}").replace(
        b"{en: Orders}", b"{en: O, it: O}"
    )
    files["rules/policy.yaml"] = policy.replace(b"{en: Notices}", b"{en: N, it: N}")
    files["templates/brand/brand.yaml"] = b"locales: {en: en_GB, it: it_IT}\n"
    files["templates/plain/template.yaml"] = b"subject: {en: Hello, it: Ciao}\n"
    files["templates/plain/email.it.mjml"] = files["templates/plain/email.mjml"].replace(b"Hello", b"Ciao")
    files["templates/plain/email.en.mjml"] = files.pop("templates/plain/email.mjml")
    active = publish(database, files, utc("2026-01-02 00:00"))
    add_customer(database, "ada", language="it")
    every = preview(database, active, rule="news", customer_id="ada", public_url="", all_languages=True)
    assert [(one.channel, one.language) for one in every if one.channel is ChannelName.EMAIL] == [
        ("email", "en"),
        ("email", "it"),
    ]
    assert [one.language for one in _preview(database, active, "news") if one.channel is ChannelName.EMAIL] == ["it"]


def test_an_event_rule_is_shown_with_the_newest_event(database: Database, active: Active) -> None:
    with pytest.raises(OutboundError, match="no event"):
        _preview(database, active, "receipt")
    for number in (1, 2):
        data = {"order_id": f"A{number}", "total": 1}
        add_event(database, f"e{number}", "order.placed", "ada", data, utc(f"2026-03-0{number} 10:00"))
    [email] = _preview(database, active, "receipt")
    assert isinstance(email.content, RenderedEmail)
    assert "Order A2." in email.content.html


@pytest.mark.parametrize(("rule", "customer"), [("nope", "ada"), ("news", "nobody")])
def test_an_unknown_rule_or_customer_is_said(database: Database, active: Active, rule: str, customer: str) -> None:
    with pytest.raises(OutboundError, match="there is no"):
        _preview(database, active, rule, customer)


def test_a_proof_is_marked_and_leaves_no_trace(database: Database, active: Active) -> None:
    adapter = Recorder()
    for shown in _preview(database, active, "news"):
        outcome = asyncio.run(proof(shown, adapter=adapter, address="me@shop.example", now=NOW))
        assert outcome.kind is OutcomeKind.ACCEPTED
    email, sms = adapter.parcels
    assert email.payload == b"[PROOF] Hello"
    assert email.subject == "[PROOF] Hello"
    assert email.sender == "news@shop.example"
    assert sms.payload.startswith(b"[PROOF] Shop: Hello from the shop.")
    envelope = adapter.envelopes[0]
    assert envelope is not None
    assert envelope.unsubscribe_url is None
    assert envelope.message_id.endswith("@shop.example>")
    for table in (tables.run, tables.decision, tables.message, tables.leg):
        assert rows(database, table) == []


def test_a_message_that_cannot_be_rendered_has_no_proof(database: Database, active: Active) -> None:
    shown = replace(_preview(database, active, "news")[0], content=RenderStop(detail="customer.first_name missing"))
    with pytest.raises(OutboundError, match="first_name missing"):
        asyncio.run(proof(shown, adapter=Recorder(), address="me@shop.example", now=NOW))


def test_rules_on_changes_and_segments_are_shown_with_the_newest_of_each(database: Database) -> None:
    """What the template reads is what happened to the customer; to whom nothing happened it cannot be shown."""
    told = {
        "templates/told/template.yaml": (
            b"subject: {en: Your plan}\ncontext: {change: [old, new, date]}\n"
            b"sample: {change: {old: free, new: pro, date: 2026-03-02}}\n"
        ),
        "templates/told/sms.txt": b"{{ change.old }} to {{ change.new }} on {{ change.date }}",
        "templates/came/template.yaml": (
            b"subject: {en: Hi}\ncontext: {entry: [number, date]}\nsample: {entry: {number: 1, date: 2026-03-02}}\n"
        ),
        "templates/came/sms.txt": b"entry {{ entry.number }} on {{ entry.date }}",
        "rules/segments.yaml": b"segment: pros\nif:\n  - customer.plan == 'pro'\n",
    }
    base = RECEIPT.replace("[email]", "[sms]")
    changed = base.replace("receipt", "plan").replace("event: order.placed", "changed: customer.plan")
    enters = base.replace("receipt", "came").replace("event: order.placed", "enters: pros")
    rules = rule_files(
        changed.replace("template: order", "template: told"), enters.replace("template: order", "template: came")
    )
    add_customer(database, "ada", attributes={"plan": "free"}, timezone="Pacific/Auckland")
    add_customer(database, "bob")
    active = publish(database, {**rules, **told}, utc("2026-01-02 00:00"))
    with database.write() as connection:
        update = customers.Update(customer_id="ada", attributes={"plan": "pro"})
        customers.apply(connection, update, source="test", now=NOW)
    planning.plan_due(database, active, now=NOW)
    texts = [one.content.text for rule in ("plan", "came") for one in _preview(database, active, rule)]
    assert texts == ["Shop: free to pro on 2026-03-03", "Shop: entry 1 on 2026-03-03"]
    for rule in ("plan", "came"):
        with pytest.raises(OutboundError) as refused:
            _preview(database, active, rule, "bob")
        assert refused.value.code == "preview.event"
