"""A served API on a real port, with a shop behind it, and how tests ask it."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from trial_shop import FILES

from outbound.domain.access import Scope
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.api.application import create
from outbound.interfaces.http.api.context import Api, Limits
from outbound.runtime.serving import Listener
from outbound.services import api_keys, releases
from outbound.storage import tables
from outbound.storage.database import Database

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PUBLISHED = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
ALL = tuple(Scope)
KEYRING = Keyring.parse("k1:" + "5a" * 32)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(slots=True, kw_only=True)
class Running:
    """A served API. ``secret`` may do everything. ``clock`` is what it takes the time from."""

    port: int
    database: Database
    keyring: Keyring
    api: Api
    secret: str = ""
    clock: list[datetime] = field(default_factory=list)

    def key(self, *scopes: Scope, name: str = "a program", **more: Any) -> str:
        """The secret of a new key, which the API knows at once."""
        values: dict[str, Any] = {"expires_at": None, "by": "test", "now": NOW, **more}
        _, secret = api_keys.create(self.database, name=name, scopes=scopes, **values)
        self.forget()
        return secret

    def forget(self) -> None:
        """Let what the API knows by heart be read again."""
        self.api.keys._value = None
        self.api._declared._value = None

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for ``/api/v1`` and a path. A body that is no bytes goes as JSON."""
        sent: dict[str, str] = {"Content-Type": "application/json"} if body is not None else {}
        used = self.secret if secret is None else secret
        if used:
            sent["Authorization"] = f"Bearer {used}"
        sent |= dict(headers or {})
        raw = body if isinstance(body, bytes | Iterator) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/api/v1{path}", raw, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
            known = {name.lower(): value for name, value in answer.getheaders()}
            kind = known.get("content-type", "")
            return Answer(answer.status, known, json.loads(text) if "json" in kind else text)
        finally:
            connection.close()

    def rows(self, table: sa.Table) -> list[Any]:
        """All rows of a table."""
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table)).mappings())

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table but the keys, whose use is noted."""
        with self.database.read() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=str)
                for table in tables.metadata.sorted_tables
                if table is not tables.api_key
            }


@dataclass(slots=True)
class Shared:
    """A served API that many tests use, one after the other: each finds the shop as it was published."""

    running: Running

    def fresh(self) -> Running:
        """Nothing but the release and the two customers, at NOW."""
        running = self.running
        kept = (tables.release, tables.active_release)
        with running.database.write() as connection:
            for table in reversed(tables.metadata.sorted_tables):
                if table not in kept:
                    connection.execute(table.delete())
        for identity in ("C-1", "C-2"):
            customer(running.database, identity)
            address(running, identity, f"{identity.lower()}@example.org")
        running.clock[0] = NOW
        running.secret = running.key(*ALL, name="everything")
        return running


def address(running: Running, identity: str, value: str, channel: str = "email") -> None:
    """An address of a customer."""
    row = {"customer_id": identity, "channel": channel, "value": value, "state": "ok", "updated_at": PUBLISHED}
    with running.database.write() as connection:
        digest = running.keyring.address_hash(channel, value)
        connection.execute(tables.address.insert(), {**row, "hash": digest})


@contextmanager
def serve(database: Database, keyring: Keyring, *, limits: Limits | None = None) -> Iterator[Running]:
    """Serve the API over ``database``, as a process of its own would: its clock begins at NOW and stands."""
    clock = [NOW]
    opened = Database(database.url.render_as_string(hide_password=False), wait=10)
    api = Api(opened, keyring, limits=limits or Limits(), now=lambda: clock[0])
    listener = Listener(create(api), "127.0.0.1", 0)
    thread = threading.Thread(target=asyncio.run, args=(listener.serve(),), daemon=True)
    thread.start()  # the port is open already: a request that comes early waits
    running = Running(port=listener.port, database=database, keyring=keyring, api=api, clock=clock)
    try:
        running.secret = running.key(*ALL, name="everything")
        yield running
    finally:
        listener.stop()
        thread.join(timeout=20)
        api.close()


def publish(database: Database, **changed: str) -> None:
    """Publish the shop of the trials, with other contents of some files."""
    files = {name: text.encode() for name, text in {**FILES, **changed}.items() if not name.startswith("mapping")}
    found = releases.publish(database, files, by="test", now=PUBLISHED)
    assert isinstance(found, releases.Published), found


def customer(database: Database, identity: str, **columns: Any) -> None:
    """A customer in the store."""
    row = {"id": identity, "attributes": {}, "created_at": PUBLISHED, "updated_at": PUBLISHED, **columns}
    with database.write() as connection:
        connection.execute(tables.customer.insert(), row)
