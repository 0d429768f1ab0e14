"""The site and, beside it, a bare page of the same server on ports of their own: ``python -m`` with a database URL."""

import asyncio
import json
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from outbound.domain.keyring import Keyring
from outbound.interfaces.http.application import Site, create
from outbound.runtime import loop
from outbound.runtime.serving import Listener
from outbound.services.links import LinkMaker
from outbound.storage.database import Database

KEY = "k1:" + "5a" * 32
PUBLIC_URL = "https://shop.example"
_LOOPBACK = ("127.0.0.1",)
_BODY = b"<!doctype html><title>bare</title>" + b"<p>Nothing asked of anybody.</p>" * 300


async def bare(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """About as many bytes as the preference page, from memory."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(_BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _BODY})


def main(url: str) -> None:
    """Serve until standard input ends."""
    database = Database(url)
    links = LinkMaker(Keyring.parse(KEY), PUBLIC_URL)
    site = create(Site(database=database, links=links, now=lambda: datetime.now(UTC)))
    listeners = [Listener(one, "127.0.0.1", 0, trusted_proxies=_LOOPBACK) for one in (site, bare)]
    print(json.dumps({"page": listeners[0].port, "bare": listeners[1].port}), flush=True)  # noqa: T201 - read by the bench
    threading.Thread(target=_end_with_parent, daemon=True).start()

    async def serve() -> None:
        await asyncio.gather(*(listener.serve() for listener in listeners))

    loop.run(serve())


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[-1])
