"""One slow destination, or a slow provider: nobody else waits (F32), and express messages wait behind no bulk."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, SmtpTimeouts, Tls
from outbound.domain.message import Lane
from outbound.runtime.hands import Hand, Signs
from outbound.services.dispatch import Dispatcher, DispatchSettings
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


def world_over(database: Database, server: SmtpServer, **timeouts: float) -> World:
    smtp = SmtpAdapter(
        SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=10, timeouts=SmtpTimeouts(**timeouts))
    )
    return World(database=database, adapters={EMAIL: smtp}, settings=DispatchSettings())


def rows(database: Database, table: sa.Table = tables.message) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def move_to(database: Database, customers: list[str], domain: str) -> None:
    with database.write() as connection:
        for customer in customers:
            here = (tables.address.c.customer_id == customer, tables.address.c.channel == "email")
            connection.execute(tables.address.update().where(*here).values(value=f"{customer}@{domain}"))


def hand_of(dispatcher: Dispatcher, lane: Lane) -> Hand:
    """The lane's work as the daemon does it."""
    begun = time.monotonic()

    async def work(signs: Signs) -> int:
        now = NOW + timedelta(seconds=int(time.monotonic() - begun))
        return (await dispatcher.run_slice(lane, now=now, moved=signs.moved, left=signs.left)).claimed

    return Hand(work, most=11)


@pytest.mark.parametrize("share", [40, 120], ids=["one of fifty", "a third of everything"])
def test_f32_a_destination_that_hangs_holds_nobody_up(database: Database, server: SmtpServer, share: int) -> None:
    """The others are all sent while its messages hang; the account is not blamed, and nothing is spent."""
    everybody = names(300)
    add_customers(database, everybody)
    hanging = everybody[::7][:40] if share == 40 else everybody[::2][:share]
    rest = [customer for customer in everybody if customer not in set(hanging)]
    move_to(database, hanging, "slow.example")
    for n in range(49):
        move_to(database, rest[n::49], f"d{n}.example")
    queue(database, "news", everybody)
    server.set_modes("rcpt=hang for slow")

    def sent() -> int:
        return sum(r.state == "sent" for r in rows(database))

    async def main() -> float:
        dispatcher = world_over(database, server, command=90.0).dispatcher(gate_age=1.0)
        hand = hand_of(dispatcher, Lane.BULK)
        began = time.monotonic()
        async with asyncio.timeout(60):
            while sent() < len(rest):
                if not await hand.more():
                    await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
        await hand.drop()
        await dispatcher.close()
        return seconds

    seconds = asyncio.run(main())
    states = Counter((r.customer_id in hanging, r.state) for r in rows(database))
    assert states[False, "sent"] == len(rest), (seconds, states)
    assert states[True, "sent"] == 0
    assert {r.attempts for r in rows(database) if r.customer_id in hanging} == {0}
    assert rows(database, tables.breaker) == []


def test_an_express_message_waits_behind_no_bulk_at_a_slow_provider(database: Database, server: SmtpServer) -> None:
    """A newsletter on a provider of 1.5 s a message; a receipt and a code are handed over at once."""
    everybody = names(80)
    add_customers(database, everybody)
    queue(database, "news", everybody[:70])
    server.set_modes("sent=delay 1.5")

    async def main() -> dict[str, float]:
        dispatcher = world_over(database, server).dispatcher(gate_age=1.0)
        bulk, express = hand_of(dispatcher, Lane.BULK), hand_of(dispatcher, Lane.EXPRESS)
        newsletter = asyncio.create_task(forever(bulk))
        await asyncio.sleep(3)
        queue(database, "receipt", ["c0071"])
        queue(database, "code", ["c0072"])
        began = time.time()
        other = asyncio.create_task(forever(express))
        async with asyncio.timeout(20):
            while sum(r.state == "sent" for r in rows(database) if r.rule != "news") < 2:  # noqa: ASYNC110 - a row sets no event
                await asyncio.sleep(0.1)
        waiting = sum(r.state != "sent" for r in rows(database) if r.rule == "news")
        assert waiting > 10, "the newsletter was over: the test proved nothing"
        for task in (newsletter, other):
            task.cancel()
        await asyncio.gather(newsletter, other, return_exceptions=True)
        await bulk.drop()
        await express.drop()
        await dispatcher.close()
        return {a.recipient: a.time - began for a in server.accepted()}

    async def forever(hand: Hand) -> None:
        while True:
            if not await hand.more():
                await asyncio.sleep(0.1)

    took = asyncio.run(main())
    # one connection is kept for them: two deliveries of 1.5 s one after the other at most, and a busy machine
    assert max(took["c0071@example.com"], took["c0072@example.com"]) < 5
    assert not [v for v in check(database, server.accepted()) if v.invariant in ("I2", "I4")]
