"""A served site over a real socket, and how to ask it."""

import asyncio
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from outbound.channels.webhooks.base import Webhook
from outbound.config import Settings
from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.verification import code_of
from outbound.interfaces.http.application import Site, create
from outbound.runtime.serving import Listener
from outbound.services import preferences, releases, working_copy
from outbound.services.links import LinkMaker
from outbound.storage import tables
from outbound.storage.database import Database

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PROOF = Evidence(source="test form", wording="yes please")
MESSAGE_ID = new_id(NOW)
MESSAGE = "01a20cad174073828293d1ba4e2ac211"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A served site and how to ask it."""

    port: int
    links: LinkMaker
    database: Database

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Ask for a page of text."""
        status, answer, content = self.fetch(method, path, body, headers)
        return status, answer, content.decode(errors="replace")

    def fetch(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def path(self, customer_id: str = "c-1", topic: str = "newsletter") -> str:
        url = self.links.unsubscribe(customer_id=customer_id, topic=topic, channel="email", message_id=MESSAGE)
        return url.removeprefix("https://shop.example")

    def consents(self) -> dict[tuple[str, str], str]:
        with self.database.read() as connection:
            rows = connection.execute(sa.select(tables.consent)).all()
        return {(row.topic, row.channel): row.state for row in rows}

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table, to compare before and after."""
        with self.database.read() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=str)
                for table in tables.metadata.sorted_tables
            }


@contextmanager
def serve(
    database: Database,
    keyring: Keyring,
    *,
    public_url: str = "https://shop.example",
    settings: Settings | None = None,
    now: Callable[[], datetime] = lambda: NOW,
    webhooks: Mapping[str, Webhook] | None = None,
) -> Iterator[Running]:
    """Serve on a free port of loopback until the block ends."""
    settings = settings or Settings()
    maker = LinkMaker(keyring, public_url)
    site = Site(database=database, links=maker, now=now, settings=settings, webhooks=webhooks or {})
    listener = Listener(create(site), "127.0.0.1", 0, trusted_proxies=settings.server.trusted_proxies)
    thread = threading.Thread(target=asyncio.run, args=(listener.serve(),), daemon=True)
    thread.start()  # the port is open already: a request that comes early waits
    try:
        yield Running(port=listener.port, links=maker, database=database)
    finally:
        listener.stop()
        thread.join(timeout=20)


def shipped() -> dict[str, bytes]:
    """The shipped rules and templates."""
    return dict(working_copy.read_files(ROOT / "rules", ROOT / "templates"))


def publish(database: Database, files: dict[str, bytes] | None = None) -> None:
    """Make the shipped rules and templates run, or ``files``."""
    assert isinstance(releases.publish(database, files or shipped(), by="test", now=NOW), releases.Published)


def add_address(database: Database, keyring: Keyring, channel: ChannelName, value: str, owner: str = "c-1") -> None:
    """Where a customer is reached."""
    row = {"customer_id": owner, "channel": channel.value, "value": value, "state": "ok", "updated_at": NOW}
    with database.write() as connection:
        connection.execute(tables.address.insert(), row | {"hash": keyring.address_hash(channel.value, value)})


def add_message(database: Database, *, topic: str, sent_at: datetime | None, owner: str = "c-1") -> str:
    """A message that left, or one that was skipped after its first attempt began; answers its id."""
    identity = new_id(NOW)
    row = {
        "id": identity,
        "run_id": "r",
        "rule": "a-rule",
        "rule_version": "1",
        "release": "r",
        "once": identity,
        "customer_id": owner,
        "template": "t",
        "topic": topic,
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 1,
        "channels": "email",
        "not_before": NOW,
        "expires": NOW,
        "state": "sent" if sent_at else "skipped",
        "verify_code": code_of(identity),
        "created_at": NOW,
        "updated_at": NOW,
        "sent_at": sent_at,
        "date": NOW,
    }
    leg = {
        "message_id": identity,
        "n": 1,
        "channel": "email",
        "customer_id": owner,
        "address": "a@b.example",
        "at": NOW,
    }
    with database.write() as connection:
        connection.execute(tables.message.insert(), row)
        connection.execute(tables.leg.insert(), leg)
    return identity


def add_customer(database: Database, customer_id: str = "c-1") -> None:
    """One who reads Italian and gets the letter and the offers by mail."""
    row = {"id": customer_id, "language": "it", "attributes": {}, "created_at": NOW, "updated_at": NOW}
    with database.write() as connection:
        connection.execute(tables.customer.insert(), row)
    for topic in ("newsletter", "offers"):
        preferences.grant(
            database, customer_id=customer_id, topic=topic, channel=ChannelName.EMAIL, evidence=PROOF, now=NOW
        )
