"""A small shop for the dispatcher's tests: three rules, customers, messages, and templates that need no files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from outbound.channels.base import Adapter
from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.message import Message
from outbound.domain.policy import BrandIdentity, ConsentNeed, MessageClass, Policy, SuppressRule, Topic
from outbound.domain.release import Ruleset
from outbound.domain.rendered import Rendered, RenderedEmail, RenderedSms, RenderStop
from outbound.domain.rule import KeyTemplate, Rule, Schema, ScriptTrigger, SendAction
from outbound.domain.source import Span
from outbound.engine.rendering import Links, Templates
from outbound.services.dispatch import Dispatcher, DispatchSettings
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
KEYRING = Keyring.parse("k1:" + "5a" * 32)
EMAIL, SMS = ChannelName.EMAIL, ChannelName.SMS
TOPICS = {"receipt": "orders", "code": "login", "news": "letters", "both": "orders"}


def policy() -> Policy:
    """Four classes, one topic each; e-mail to SMS after a bounce."""

    def kind(name: str, **more: Any) -> MessageClass:
        consent = ConsentNeed.OPT_IN if name == "marketing" else ConsentNeed.NONE
        return MessageClass(name=name, consent=consent, quiet=frozenset(), **more)

    classes = {
        "security": kind("security", priority=999, on_uncertain="resend"),
        "transactional": kind("transactional", priority=900),
        "marketing": kind("marketing", priority=100, unsubscribe_required=True),
    }
    topics = {"orders": "transactional", "login": "security", "letters": "marketing"}
    return Policy(
        timezone="Europe/Rome",
        classes=classes,
        topics={name: Topic(name=name, message_class=classes[of]) for name, of in topics.items()},
        channels={},
        waterfall=(EMAIL, SMS),
        next_on=("unreachable", "not_allowed", "bounced"),
        quiet_hours={},
        zones={},
        calendars={},
        blackouts=(),
        suppress=(SuppressRule(event="bounced.hard", channel=EMAIL, scopes=("all",)),),
        brand=BrandIdentity(
            name="Shop",
            senders={name: f"Shop <{name}@shop.example>" for name in classes},
            reply_to="hello@shop.example",
            postal_address="Via Roma 1",
            languages=("en",),
            fallback="en",
        ),
    )


def ruleset() -> Ruleset:
    """``receipt``, ``code`` and ``news`` by e-mail; ``both`` by e-mail, then SMS."""
    rules = {}
    for number, (name, topic) in enumerate(TOPICS.items(), 1):
        channels = (EMAIL, SMS) if name == "both" else (EMAIL,)
        rules[name] = Rule(
            id=name,
            owner="ops@shop.example",
            topic=topic,
            trigger=ScriptTrigger(arguments={}),
            who=(),
            once=KeyTemplate(parts=(("k", ""),), text="k"),
            expires=Duration(48, DurationUnit.HOUR),
            send=SendAction(templates={"": name}, channels=channels),
            version="v1",
            span=Span("rules/all.yaml", number, 1),
        )
    return Ruleset(schema=Schema(customer={}, events={}), policy=policy(), segments={}, rules=rules)


class PlainTemplates:
    """Answers like ``Templates``, from one sentence. A context with ``stop`` stops, one with ``boom`` breaks."""

    def __init__(self, word: str = "Hello") -> None:
        self.word = word

    def language(self, _name: str, _channel: ChannelName, wanted: str | None) -> str:
        return wanted or "en"

    def has(self, _name: str, _channel: ChannelName) -> bool:
        return True

    def declared(self, _name: str) -> dict[str, frozenset[str]]:
        return {}

    def snapshot(self, _name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        return {root: value for root, value in values.items() if root != "customer"}

    def render(
        self,
        name: str,
        channel: ChannelName,
        *,
        language: str | None,
        context: Mapping[str, Any],
        links: Links,
        message_class: str,
    ) -> Rendered | RenderStop:
        if "stop" in context:
            return RenderStop(detail="customer.first_name missing")
        if "boom" in context:
            raise ZeroDivisionError
        text = f"{self.word} {context.get('name', 'you')}, this is {name}. {links.unsubscribe}"
        if channel is SMS:
            return RenderedSms(text=text, segments=1, encoding="gsm", language=language or "en")
        return RenderedEmail(
            subject=f"{self.word} {name}",
            html=f"<p>{text}</p>" + "<p>filler</p>" * 20,
            text=text,
            sender=f"Shop <{message_class}@shop.example>",
            reply_to="hello@shop.example",
            language=language or "en",
        )


def release(id_: str = "r1", word: str = "Hello", rules: Ruleset | None = None) -> Active:
    """A release with the small rules."""
    return Active(id=id_, ruleset=rules or ruleset(), templates=cast("Templates", PlainTemplates(word)))


def links(message: Message, channel: ChannelName, *, topic: Topic) -> Links:
    """Links that name their message."""
    unsubscribe = f"https://shop.example/u/{message.id}-{channel}" if topic.declinable else ""
    return Links(unsubscribe=unsubscribe, preferences="", assets="")


@dataclass(kw_only=True)
class World:
    """A database with customers, and a dispatcher over it."""

    database: Database
    adapters: Mapping[ChannelName, Adapter]
    active: Active = field(default_factory=release)
    reply_to: Callable[[str], str] = lambda _reference: ""
    older: dict[str, Active] = field(default_factory=dict)
    # A busy machine must not send a gate back for its age.
    settings: DispatchSettings = field(default_factory=lambda: DispatchSettings(gate_age=60))

    def dispatcher(self, **settings: Any) -> Dispatcher:
        """A dispatcher; a fresh one is a fresh worker."""
        return Dispatcher(
            self.database,
            adapters=self.adapters,
            keyring=KEYRING,
            active=lambda: self.active,
            load_release=lambda id_: self.older[id_],
            links=links,
            reply_to=self.reply_to,
            settings=DispatchSettings(**settings) if settings else self.settings,
        )


def add_customers(database: Database, ids: Sequence[str], *, consent: bool = True) -> None:
    """Customers with an e-mail address and a phone, and consent to ``letters``."""
    people, addresses, events, consents = [], [], [], []
    for i in ids:
        stamp = {"updated_at": NOW}
        people.append({"id": i, "zone_source": "tz:Europe/Rome", "attributes": {}, "created_at": NOW, **stamp})
        for channel, value in ((EMAIL, f"{i}@example.com"), (SMS, f"+3934{int(i[1:]):08d}")):
            digest = KEYRING.address_hash(channel, value)
            addresses.append({"customer_id": i, "channel": channel.value, "value": value, "hash": digest, **stamp})
        shared = {"customer_id": i, "topic": "letters", "channel": "", "state": "granted", "at": NOW}
        events.append({"id": f"ce-{i}", "recorded_at": NOW, "evidence": {"basis": "consent"}, **shared})
        consents.append({"event_id": f"ce-{i}", **shared})
    with database.write() as connection:
        connection.execute(tables.customer.insert(), people)
        connection.execute(tables.address.insert(), [{"state": "ok", **a} for a in addresses])
        if consent:
            connection.execute(tables.consent_event.insert(), events)
            connection.execute(tables.consent.insert(), consents)


def message_row(rule: str, customer_id: str, **more: Any) -> dict[str, Any]:
    """One due message."""
    topic = policy().topics[TOPICS[rule]]
    row = {
        "id": new_id(NOW),
        "run_id": f"run-{rule}",
        "rule": rule,
        "rule_version": "v1",
        "release": "planned",
        "once": "k",
        "customer_id": customer_id,
        "template": rule,
        "topic": topic.name,
        "message_class": topic.message_class.name,
        "lane": topic.message_class.lane.value,
        "priority": topic.message_class.priority,
        "channels": "email,sms" if rule == "both" else "email",
        "context": {"name": customer_id},
        "not_before": NOW,
        "expires": NOW + timedelta(hours=48),
        "on_uncertain": topic.message_class.on_uncertain,
        "state": "ready",
        "created_at": NOW,
    }
    return {**row, **more}


def queue(database: Database, rule: str, customers: Sequence[str], *, skipped: int = 0, **more: Any) -> list[str]:
    """Put one message per customer on the outbox, with their run. Answers the ids."""
    rows = [message_row(rule, customer, **more) for customer in customers]
    run = {
        "id": f"run-{rule}",
        "rule": rule,
        "slot": "k",
        "release": "r1",
        "rule_version": "v1",
        "trigger": "script",
        "started_at": NOW,
        "candidates": len(rows) + skipped,
        "skipped": skipped,
    }
    with database.write() as connection:
        insert_messages(connection, rows)
        connection.execute(tables.run.insert(), run)
    return [row["id"] for row in rows]


def names(count: int) -> list[str]:
    """``c0001`` and so on."""
    return [f"c{n:04d}" for n in range(1, count + 1)]
