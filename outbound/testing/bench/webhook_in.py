"""Webhooks taken in per second on PostgreSQL: proven, durable, answered; beside a bare insert over HTTP."""

import asyncio
import hmac
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from outbound.services.bench.figure import Figure
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.postgres import empty_database, postgres_server
from outbound.testing.spawn import ServerProcess

_REQUESTS, _RUNS = 6_000, 5
_QUICK = 300
_CONNECTIONS = 32
_BAR, _BAR_P99 = 2_000, 50.0
_KEY = "bench"
_SERVER = "outbound.testing.bench.webhook_server"


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    p99: float


def measure(quick: bool) -> list[Figure]:
    """Mailgun's events, signed, over 32 connections that are kept open."""
    count, runs = (_QUICK, 1) if quick else (_REQUESTS, _RUNS)
    ours, bare = [], []
    with postgres_server() as server:
        for _ in range(runs):
            ours.append(_once(server, "site", count))
            bare.append(_once(server, "bare", count))
    rate, limit = (statistics.median(run.rate for run in some) for some in (ours, bare))
    p99, limit_p99 = (statistics.median(run.p99 for run in some) for some in (ours, bare))
    what = "one row inserted and committed for each request, nothing read or proven, over HTTP"
    return [
        Figure(
            name="webhook_in",
            value=rate,
            unit="requests/s",
            limit=limit,
            ratio=rate / limit,
            bar=f">= {_BAR:,}/s",
            met=rate >= _BAR,
            what=what,
        ),
        Figure(
            name="webhook_in_p99",
            value=p99,
            unit="ms",
            limit=limit_p99,
            ratio=p99 / limit_p99,
            bar=f"<= {_BAR_P99:.0f} ms",
            met=p99 <= _BAR_P99,
            what=what,
        ),
    ]


def _once(server: str, kind: str, count: int) -> _Run:
    with empty_database(server) as url:
        database = Database(url)
        tables.metadata.create_all(database.engine)
        child = ServerProcess(_SERVER, ["--kind", kind, "--url", url, "--key", _KEY])
        try:
            found = asyncio.run(_ask(int(child.facts["port"]), _requests(count)))
        finally:
            child.stop()
        with database.read() as connection:
            kept = connection.execute(sa.select(sa.func.count()).select_from(tables.inbox_event)).scalar_one()
        database.close()
    if kept != count:
        raise RuntimeError(f"{kept} of {count} requests were kept")
    return found


def _requests(count: int) -> list[bytes]:
    """Whole requests, each with its own event, signed now."""
    stamp = str(int(datetime.now(UTC).timestamp()))
    made = []
    for number in range(count):
        token = f"{number:050d}"
        signature = hmac.digest(_KEY.encode(), (stamp + token).encode(), "sha256").hex()
        event = {
            "event": "delivered",
            "id": f"e{number}",
            "timestamp": float(stamp),
            "recipient": f"c{number}@example.org",
            "message": {"headers": {"message-id": f"{number:032x}@shop.example", "subject": "The oil of this year"}},
            "delivery-status": {"code": 250, "message": "OK", "mx-host": "mx.example.org", "session-seconds": 0.4},
            "tags": ["letter"],
            "user-variables": {},
        }
        block = {"timestamp": stamp, "token": token, "signature": signature}
        body = json.dumps({"signature": block, "event-data": event}).encode()
        head = (
            "POST /webhooks/mailgun HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _ask(port: int, requests: Sequence[bytes]) -> _Run:
    """One request after the other on each connection; the time of each to its answer."""
    waiting, times = iter(requests), []

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in waiting:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            times.append(time.perf_counter() - began)
            if not head.startswith(b"HTTP/1.1 204"):
                raise RuntimeError(f"answered {head[:40]!r}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))
    took = time.perf_counter() - began
    ordered = sorted(times)
    return _Run(rate=len(ordered) / took, p99=1000 * ordered[int(0.99 * (len(ordered) - 1))])
