"""``preference_page``: the customer's page of 100,000 customers on SQLite at 200 requests a second, from outside."""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.interfaces.cli.shipped import shipped
from outbound.services import releases, working_copy
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import seed
from outbound.services.links import LinkMaker
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.bench.page_server import KEY, PUBLIC_URL
from outbound.testing.spawn import ServerProcess

PEOPLE, REQUESTS = 100_000, 4_000
RATE = 200
_MOST_MS = 30.0
_CONNECTIONS = 20
_RUNS = 5
_WARM = 200


def measure(quick: bool) -> list[Figure]:
    """Time to the first byte, its 99th percentile, and that of a bare page asked for in turn with it."""
    people, count, runs = (500, 200, 1) if quick else (PEOPLE, REQUESTS, _RUNS)
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        url = f"sqlite:///{Path(folder) / 'shop.db'}"
        _fill(url, people)
        server = ServerProcess("outbound.testing.bench.page_server", [url])
        try:
            paths = _paths(people, count + _WARM)
            asyncio.run(_ask(server.facts["page"], paths[:1]))  # compiles the release
            asyncio.run(_ask(server.facts["page"], paths[1:_WARM]))
            measured = [
                (
                    asyncio.run(_ask(server.facts["page"], paths[_WARM:])),
                    asyncio.run(_ask(server.facts["bare"], paths[_WARM:])),
                )
                for _ in range(runs)
            ]
        finally:
            server.stop()
    value = median(p99(page) for page, _ in measured)
    limit = median(p99(bare) for _, bare in measured)
    middle = median(median(page) for page, _ in measured)
    return [
        Figure(
            name="preference_page",
            value=value,
            unit="ms p99",
            limit=limit,
            ratio=value / limit,
            bar="<= 30 ms",
            met=value <= _MOST_MS,
            what=f"a bare page of the same server; {RATE} requests/s, {people:,} customers; median {middle:.1f} ms",
        )
    ]


def p99(times: Sequence[float]) -> float:
    """The 99th percentile."""
    return quantiles(times, n=100)[98]


def _fill(url: str, people: int) -> None:
    database = Database(url)
    try:
        tables.metadata.create_all(database.engine)
        files = working_copy.read_files(shipped("rules"), shipped("templates"))
        releases.publish(database, files, by="bench", now=datetime.now(UTC))
        releases.running(database)  # raises where the shipped rules were refused
        with database.write() as connection:
            seed(connection, people)
        database.checkpoint()
    finally:
        database.close()


def _paths(people: int, count: int) -> list[str]:
    """The pages of customers drawn at random, the same ones each time."""
    draw = random.Random(19_972)  # noqa: S311 - the same customers each time, not secrecy
    links, message_id = LinkMaker(Keyring.parse(KEY), PUBLIC_URL), new_id(datetime.now(UTC))
    return [
        links.preferences(
            customer_id=f"c-{draw.randrange(people):07}", topic="newsletter", channel="email", message_id=message_id
        ).removeprefix(PUBLIC_URL)
        for _ in range(count)
    ]


async def _ask(port: int, paths: Sequence[str]) -> list[float]:
    """Ask at a steady pace whatever the answers take; milliseconds from when each was due to its first byte."""
    waiting: asyncio.Queue[tuple[int, float, str]] = asyncio.Queue()
    times: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            number, due, path = await waiting.get()
            if not path:
                break
            # Each comes from another address, as through a proxy.
            asker = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: {asker}\r\n\r\n".encode())
            first = await reader.readexactly(1)
            times.append((time.perf_counter() - due) * 1000)
            head = first + await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.partition(b"\r\n")[0].decode())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(client())
        began = time.perf_counter()
        for number, path in enumerate(paths):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            waiting.put_nowait((number, due, path))
        for _ in range(_CONNECTIONS):
            waiting.put_nowait((0, 0.0, ""))
    return times
