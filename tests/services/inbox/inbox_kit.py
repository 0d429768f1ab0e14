"""What the tests of the inbox share: messages on their way, and news of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outbound.channels.webhooks.base import News
from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.keyring import Keyring
from outbound.services import preferences, releases, working_copy
from outbound.services.inbox import MAIL, Inbox
from outbound.services.inbox.receiving import keep, raw
from outbound.services.releases import Active
from outbound.storage import customers as store
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.inbox import Raw

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
M1 = "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"
PHONE = "+393401234567"


LETTER = b"titles: {it: La lettera del mese, en: The monthly letter}\n"
TRACKED = LETTER + b"    track: [opens, clicks]\n  tracking: {class: marketing, titles: {en: Noting what I read}}\n"


def active_release(folder: Path) -> Active:
    """The shipped rules and templates, compiled once; opens and clicks of the letter are noted of who agreed."""
    database = Database(f"sqlite:///{folder / 'release.db'}")
    tables.metadata.create_all(database.engine)
    files = working_copy.read_files(ROOT / "rules", ROOT / "templates")
    policy = files["rules/policy.yaml"]
    assert policy.count(LETTER) == 1
    files = {**files, "rules/policy.yaml": policy.replace(LETTER, TRACKED)}
    assert isinstance(releases.publish(database, files, by="test", now=NOW), releases.Published)
    found = releases.active(database)
    database.close()
    assert found is not None
    return found


class Post:
    """A provider whose requests carry the number of the news they bring."""

    def __init__(self, database: Database, keyring: Keyring, active: Active) -> None:
        self.database = database
        self.keyring = keyring
        self.news: list[Sequence[News]] = []
        readers = dict.fromkeys(("twilio", "mailgun", MAIL), self._read)
        self.inbox = Inbox(database, readers=readers, keyring=keyring, active=lambda: active)

    def _read(self, one: Raw) -> Sequence[News]:
        return self.news[int(one.raw)]

    def bring(self, *news: News, provider: str = "mailgun", key: str = "", now: datetime = NOW) -> Raw:
        """Keep a request with this news, as a webhook does."""
        self.news.append(news)
        body = str(len(self.news) - 1).encode()
        one = raw(provider, key or f"k{body.decode()}", body, head={}, now=now)
        keep(self.database, [one])
        return one

    def tell(self, *news: News, provider: str = "mailgun", now: datetime = NOW) -> None:
        """Keep it and work on it."""
        self.bring(*news, provider=provider, now=now)
        self.inbox.work(now=now)

    def rows(self, table: sa.Table, *columns: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*(table.c[name] for name in columns)))]

    def state(self, message_id: str = M1) -> str:
        with self.database.read() as connection:
            found: str = connection.execute(
                sa.select(tables.message.c.state).where(tables.message.c.id == message_id)
            ).scalar_one()
        return found

    def events(self) -> list[str]:
        return sorted(row[0] for row in self.rows(tables.event, "name"))

    def blocks(self) -> set[tuple[str, str, str]]:
        return {(c, s, r) for c, s, r in self.rows(tables.suppression, "channel", "scope", "reason")}


def add_customer(
    database: Database, keyring: Keyring, identity: str = "ada", email: str = "ada@example.org", phone: str = PHONE
) -> None:
    addresses = {
        channel: store.StoredAddress(channel=channel, value=value, hash=keyring.address_hash(channel.value, value))
        for channel, value in ((ChannelName.EMAIL, email), (ChannelName.SMS, phone))
        if value
    }
    with database.write() as connection:
        update = store.Update(customer_id=identity, addresses=addresses)
        store.apply(connection, update, source="test", now=NOW - timedelta(days=90))


def agree(database: Database, identity: str = "ada") -> None:
    """The customer agrees that opens and clicks are noted."""
    said = Evidence(source="test", wording="Yes, you may note what I read.")
    preferences.grant(
        database, customer_id=identity, topic="tracking", channel=None, evidence=said, now=NOW - timedelta(days=80)
    )


def add_message(database: Database, identity: str = M1, *, state: str = "sent", **more: Any) -> None:
    """A message whose first leg left by e-mail an hour ago."""
    at = NOW - timedelta(hours=1)
    of_leg: Mapping[str, Any] = {
        "n": 1,
        "channel": more.pop("channel", "email"),
        "address": more.pop("address", "ada@example.org"),
        "provider_ref": more.pop("provider_ref", ""),
    }
    row = {
        "id": identity,
        "run_id": "r1",
        "rule": "new-oil",
        "rule_version": "v",
        "release": "x",
        "once": identity,
        "customer_id": "ada",
        "template": "news",
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email,sms",
        "context": {},
        "not_before": at,
        "expires": NOW + timedelta(days=3),
        "state": state,
        "tracked": "clicks opens",
        "message_id": f"<{identity}@shop.example>",
        "created_at": at,
        "updated_at": at,
        "sent_at": at if state == "sent" else None,
        **more,
    }
    attempt = {
        "id": f"a{identity}",
        "message_id": identity,
        "leg": 1,
        "n": 1,
        "lease_token": 1,
        "phase": "handoff" if state == "uncertain" else "replied",
        "outcome": "uncertain" if state == "uncertain" else "accepted",
        "started_at": at,
        "handoff_at": at,
    }
    with database.write() as connection:
        connection.execute(sa.insert(tables.message).values(**row))
        connection.execute(
            sa.insert(tables.leg).values(message_id=identity, customer_id=row["customer_id"], cost=0, at=at, **of_leg)
        )
        connection.execute(sa.insert(tables.attempt).values(**attempt))


def news(kind: DeliveryKind, key: str = "", *, reference: str = f"<{M1}@shop.example>", **more: Any) -> DeliveryEvent:
    return DeliveryEvent(
        provider=more.pop("provider", "mailgun"),
        kind=kind,
        event_id=key or kind.value,
        reference=reference,
        recipient=more.pop("recipient", "ada@example.org"),
        at=more.pop("at", NOW - timedelta(minutes=10)),
        **more,
    )
