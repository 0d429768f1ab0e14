"""A server for the bench of webhooks: our site, or a bare one that inserts a row for each request."""

import argparse
import asyncio
import json
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from outbound.channels.webhooks.mailgun import MailgunWebhook
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.answers import Receive, Send
from outbound.interfaces.http.application import Site, create
from outbound.interfaces.http.limits import Asgi
from outbound.runtime import loop
from outbound.runtime.serving import Listener
from outbound.services.links import LinkMaker
from outbound.storage import tables
from outbound.storage.database import Database


def site(database: Database, key: str) -> Asgi:
    """Everything a request passes in production."""
    links = LinkMaker(Keyring.parse("k1:" + "b0" * 32), "https://shop.example")
    return create(Site(database=database, links=links, webhooks={"mailgun": MailgunWebhook(keys=(key,))}))


def bare(database: Database) -> Asgi:
    """The least that keeps a request: read the body, insert one row, commit, answer."""
    insert = sa.insert(tables.inbox_event)
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")

    def keep(body: bytes) -> None:
        now = datetime.now(UTC)
        row = {"id": new_id(now), "provider": "bare", "raw": body, "head": {}, "received_at": now, "trouble": ""}
        with engine.connect() as connection:
            connection.execute(insert, {**row, "key": row["id"], "tries": 0})

    async def answer(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await asyncio.to_thread(keep, body)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return answer


def main() -> None:
    """Serve until standard input ends; print the port first."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", action="store_true")
    for name in ("--kind", "--url", "--key"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    database = Database(given.url)
    app = site(database, given.key) if given.kind == "site" else bare(database)
    listener = Listener(app, "127.0.0.1", 0)
    sys.stdout.write(json.dumps({"port": listener.port}) + "\n")
    sys.stdout.flush()
    loop.run(listener.serve())


if __name__ == "__main__":
    main()
