"""Events told over HTTP, one a request, on PostgreSQL; beside the barest insert over HTTP on the same server."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from outbound.services import api_keys, releases
from outbound.services.bench.decide_event import p99
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import shop_files
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.bench.api_server import BARE
from outbound.testing.postgres import empty_database, postgres_server
from outbound.testing.spawn import ServerProcess

_CONNECTIONS, _RUNS = 16, 5
_EVENTS, _QUICK_EVENTS = 10_000, 500
_LEAST, _SLOWEST_MS = 1_000, 30
_NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    slow: float
    limit: float


def measure(quick: bool) -> list[Figure]:
    """Requests per second over sixteen connections that stay open, and the slowest hundredth of the answers."""
    with postgres_server() as server:
        runs = [_once(server, _QUICK_EVENTS if quick else _EVENTS) for _ in range(1 if quick else _RUNS)]
    rate, limit = (statistics.median(getattr(run, name) for run in runs) for name in ("rate", "limit"))
    slow = statistics.median(run.slow for run in runs)
    what = f"the barest insert over HTTP, a commit each, {_CONNECTIONS} connections; client, server, PostgreSQL here"
    return [
        Figure(
            name="api_event",
            value=rate,
            unit="events/s",
            limit=limit,
            ratio=statistics.median(run.rate / run.limit for run in runs),
            bar=f">= {_LEAST:,}/s",
            met=rate >= _LEAST,
            what=what,
        ),
        Figure(
            name="api_event_p99",
            value=slow,
            unit="ms",
            bar=f"<= {_SLOWEST_MS} ms",
            met=slow <= _SLOWEST_MS,
            what="from the request to the answer that it is on disk",
        ),
    ]


def _once(server: str, events: int) -> _Run:
    with empty_database(server) as url:
        secret = _prepare(url)
        with _served(url, "--bare") as port:
            limit, _ = asyncio.run(_tell(port, secret, events))
        with _served(url) as port:
            asyncio.run(_tell(port, secret, events // 10, "warm"))
            rate, times = asyncio.run(_tell(port, secret, events))
        _check(url, events + events // 10)
    return _Run(rate, p99(times), limit)


def _prepare(url: str) -> str:
    database = Database(url)
    tables.metadata.create_all(database.engine)
    published = releases.publish(database, shop_files(), by="bench", now=_NOW)
    if isinstance(published, tuple):
        raise RuntimeError(published[0].render())  # noqa: TRY004 - the problems that refused it
    _, secret = api_keys.create(database, name="bench", scopes=("events:write",), expires_at=None, by="bench", now=_NOW)
    with database.write() as connection:
        connection.exec_driver_sql(BARE)
    database.close()
    return secret


@contextmanager
def _served(url: str, *more: str) -> Iterator[int]:
    process = ServerProcess("outbound.testing.bench.api_server", ["--url", url, *more])
    try:
        yield int(process.facts["port"])
    finally:
        process.stop()


def _check(url: str, events: int) -> None:
    database = Database(url)
    with database.read() as connection:
        kept = connection.exec_driver_sql("SELECT count(*) FROM event").scalar_one()
    database.close()
    if kept != events:
        raise RuntimeError(f"{kept} of {events} events are on record")


async def _tell(port: int, secret: str, events: int, mark: str = "n") -> tuple[float, list[float]]:
    """Events per second, and how many milliseconds each took."""
    numbers = iter(range(events))
    times: list[float] = []

    async def caller() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            begun = time.perf_counter()
            writer.write(_request(f"{mark}-{number}", secret))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if b" 201 " not in head[:20]:
                raise RuntimeError(head.split(b"\r\n")[0].decode())
            times.append((time.perf_counter() - begun) * 1_000)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_CONNECTIONS)))
    return events / (time.perf_counter() - begun), times


def _request(identity: str, secret: str) -> bytes:
    event = {"name": "order.placed", "customer": "c-0000001", "id": identity, "data": {"order_id": identity}}
    body = json.dumps(event).encode()
    head = (
        "POST /api/v1/events HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
