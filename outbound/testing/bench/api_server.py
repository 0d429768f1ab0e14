"""A process that serves the API, or the barest insert over HTTP, for ``bench api_event``. It prints its port."""

import argparse
import json
from typing import Any

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from outbound.domain.keyring import Keyring
from outbound.interfaces.http.api.application import create
from outbound.interfaces.http.api.context import WAIT_SECONDS, Api
from outbound.runtime import loop
from outbound.runtime.serving import Listener
from outbound.storage.database import Database

KEYRING = Keyring.parse("k1:" + "b0" * 32)
BARE = "CREATE TABLE IF NOT EXISTS bare (id BIGSERIAL PRIMARY KEY, data TEXT)"


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--url", required=True)
    parser.add_argument("--bare", action="store_true")
    given = parser.parse_args()
    database = Database(given.url, wait=WAIT_SECONDS)
    site = _bare(database) if given.bare else create(Api(database, KEYRING))
    listener = Listener(site, "127.0.0.1", 0)
    print(json.dumps({"port": listener.port}), flush=True)  # noqa: T201 - how the bench learns of it
    loop.run(listener.serve())


def _bare(database: Database) -> Any:
    """Every POST is one row in a transaction of its own, with no key, no check and no framework."""
    insert = sa.text("INSERT INTO bare (data) VALUES (:data)")

    def keep(body: bytes) -> None:
        with database.engine.begin() as connection:
            connection.execute(insert, {"data": body.decode()})

    async def site(_scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await run_in_threadpool(keep, message["body"])
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    return site


if __name__ == "__main__":
    main()
