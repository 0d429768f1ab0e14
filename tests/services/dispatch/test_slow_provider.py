"""A slow provider: what was gated long ago does not leave (promise P5), and everything leaves all the same."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, World, add_customers, names, queue

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.message import Lane
from outbound.services.dispatch import Dispatcher, DispatchSettings
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

SETTINGS = DispatchSettings(gate_age=0.2)
MARGIN = 0.5
"""Seconds for what lies between a delivery's start and the server's ledger, on a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    """A server that is quick until told otherwise."""
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def world(database: Database, server: SmtpServer) -> World:
    """Fifty customers with consent, ten connections."""
    add_customers(database, names(50))
    smtp = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=10))
    return World(database=database, adapters={EMAIL: smtp}, settings=SETTINGS)


def rows(world: World, table: sa.Table = tables.message) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


async def everything(dispatcher: Dispatcher, lane: Lane = Lane.BULK) -> int:
    """Slices until nothing is due; how many."""
    slices = 0
    while (await dispatcher.run_slice(lane, now=NOW)).claimed:
        slices += 1
    return slices


async def make_known(dispatcher: Dispatcher) -> None:
    """Send the receipts, and let the account pass for quick however busy this machine is."""
    await everything(dispatcher, Lane.EXPRESS)
    for slots in dispatcher._kit.slots.values():
        slots._seconds = 0.001


async def until(condition: Callable[[], bool]) -> None:
    """Look until a condition that another process makes true has come true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what another process does sets no event of ours
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known as quick"])
def test_a_withdrawal_stops_what_waits_for_a_slow_provider(world: World, server: SmtpServer, known: bool) -> None:
    """P5: nothing is handed over whose delivery began later after the withdrawal than a gate may be old."""
    everybody = names(40)
    queue(world.database, "receipt", names(50)[40:])
    queue(world.database, "news", everybody)

    async def main() -> float:
        dispatcher = world.dispatcher()
        if known:
            await make_known(dispatcher)
        server.set_modes("sent=delay 0.8")
        work = asyncio.create_task(everything(dispatcher))
        await until(lambda: any(a.recipient[:5] in everybody for a in server.accepted()))
        await asyncio.to_thread(withdraw)
        withdrawn = time.time()
        await work
        await dispatcher.close()
        return withdrawn

    def withdraw() -> None:
        with world.database.write() as connection:
            connection.execute(tables.consent.update().values(state="withdrawn"))

    withdrawn = asyncio.run(main())
    letters = [a for a in server.accepted() if a.recipient[:5] in everybody]
    late = sorted(round(a.time - withdrawn, 2) for a in letters)
    assert late[-1] <= SETTINGS.gate_age + MARGIN, late
    states = Counter((r.state, r.reason) for r in rows(world) if r.rule == "news")
    assert states == {("sent", ""): len(letters), ("skipped", "consent"): 40 - len(letters)}
    assert len(letters) < 40
    assert check(world.database, server.accepted()) == ()


@pytest.mark.parametrize("rule", ["news", "receipt"])
def test_a_slow_provider_is_kept_busy(world: World, server: SmtpServer, rule: str) -> None:
    """Hardly a message is gated twice, and hardly a connection is idle: 50 of 0.5 s on 10 in about 3 s."""
    server.set_modes("sent=delay 0.5")
    queue(world.database, rule, names(50))
    lane = Lane.BULK if rule == "news" else Lane.EXPRESS

    async def main() -> float:
        dispatcher = world.dispatcher(gate_age=0.5)
        began = time.monotonic()
        await everything(dispatcher, lane)
        seconds = time.monotonic() - began
        await dispatcher.close()
        return seconds

    assert asyncio.run(main()) < 6
    assert {r.state for r in rows(world)} == {"sent"}
    assert sum(r.lease_token for r in rows(world)) <= 55
    assert len(server.accepted()) == 50


def test_what_waited_too_long_goes_back_unspent_and_is_never_in_doubt(world: World, server: SmtpServer) -> None:
    """Marked ahead, gate too old: ready again with nothing charged, gated again, sent once."""
    queue(world.database, "receipt", names(50)[40:])
    queue(world.database, "news", names(40))

    async def main() -> None:
        dispatcher = world.dispatcher()
        await make_known(dispatcher)
        server.set_modes("sent=delay 0.5")  # it was known as quick: too many pass the gate together
        await dispatcher.run_slice(Lane.BULK, now=NOW)
        waiting = [r for r in rows(world) if r.state == "ready"]
        assert waiting
        assert {(r.attempts, r.not_before) for r in waiting} == {(0, NOW)}
        await everything(dispatcher)
        await dispatcher.close()

    asyncio.run(main())
    assert {r.state for r in rows(world)} == {"sent"}
    assert len(server.accepted()) == 50
    given_back = Counter(a.phase for a in rows(world, tables.attempt) if a.outcome == "not_sent")
    assert given_back["handoff"] > 0, "no marked message was given back: the test proved nothing"
    assert check(world.database, server.accepted()) == ()


def test_a_text_message_does_not_wait_for_a_mail_server_that_hangs(
    database: Database, server: SmtpServer, tmp_path: Path
) -> None:
    """One slice: the texts behind the mails in it leave. The next one leaves the mails of a stuck account alone."""
    add_customers(database, names(30))
    queue(database, "receipt", names(20))
    queue(database, "both", names(30)[20:25], channels="sms")
    server.set_modes("sent=hang")
    smtp = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=10))
    sms = MailboxAdapter(tmp_path / "box", channel=SMS, pack=text.pack)
    world = World(database=database, adapters={EMAIL: smtp, SMS: sms}, settings=DispatchSettings())

    def texts() -> int:
        return len(list((tmp_path / "box").glob("**/*.txt")))

    async def main() -> None:
        dispatcher = world.dispatcher()
        first = asyncio.create_task(dispatcher.run_slice(Lane.EXPRESS, now=NOW))
        await until(lambda: texts() == 5)
        await until(lambda: dispatcher._kit.slots[smtp.name].stuck)
        more = names(30)[25:]
        await asyncio.to_thread(queue_again, "code", more)
        report = await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
        assert report.claimed == 0
        await asyncio.to_thread(queue_again, "both", more, channels="sms", once="again")
        report = await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
        assert (report.claimed, report.sent) == (5, 5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await dispatcher.close()

    def queue_again(rule: str, customers: list[str], **more: Any) -> None:
        with database.write() as connection:
            connection.execute(tables.run.delete().where(tables.run.c.id == f"run-{rule}"))
        queue(database, rule, customers, **more)

    asyncio.run(main())
    assert texts() == 10
