"""One rate per provider account over all workers, and the days of a new sender."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, KEYRING, NOW, World, add_customers, links, names, queue

from outbound.channels.email import mime
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.domain.message import Lane
from outbound.domain.pace import AccountPace, WarmUp, parse_rate
from outbound.services.dispatch import Dispatcher
from outbound.storage import account_rates, tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

DAY = timedelta(days=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


def rows(database: Database, table: sa.Table = tables.message) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def worker(database: Database, adapter: Any, pace: AccountPace) -> Dispatcher:
    """A worker whose one account keeps ``pace``."""
    world = World(database=database, adapters={EMAIL: adapter})
    return Dispatcher(
        database,
        adapters=world.adapters,
        keyring=KEYRING,
        active=lambda: world.active,
        load_release=lambda id_: world.older[id_],
        links=links,
        paces={adapter.name: pace},
    )


def smtp(server: SmtpServer) -> SmtpAdapter:
    return SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=5))


async def work(dispatcher: Dispatcher, lane: Lane, until: float) -> None:
    """Slices until ``until`` (monotonic)."""
    begun = time.monotonic()
    while time.monotonic() < until:
        now = NOW + timedelta(seconds=int(time.monotonic() - begun))
        if not (await dispatcher.run_slice(lane, now=now)).claimed:
            await asyncio.sleep(0.05)


def test_three_workers_together_keep_the_rate(database: Database, server: SmtpServer) -> None:
    """20/s: what three workers with connections of their own hand over in ten seconds is within 5 % of 200."""
    everybody = names(700)
    add_customers(database, everybody)
    queue(database, "news", everybody)

    async def main() -> None:
        workers = [worker(database, smtp(server), AccountPace(rate=20.0)) for _ in range(3)]
        until = time.monotonic() + 13
        tasks = [asyncio.create_task(work(one, Lane.BULK, until)) for one in workers]
        await asyncio.sleep(13)
        for one in workers:
            one.stop()
        await asyncio.wait(tasks, timeout=5)
        for one in workers:
            await one.close()

    asyncio.run(main())
    times = sorted(a.time for a in server.accepted())
    window = [at for at in times if times[0] + 1 <= at < times[0] + 11]
    assert 190 <= len(window) <= 210, len(window)
    most = max(sum(start <= at < start + 1 for at in times) for start in times)
    assert most <= 36, f"{most} in one second: more than what was missed and what was reserved"
    workers = Counter(r.worker for r in rows(database) if r.state == "sent")
    assert len(workers) == 3
    assert not [v for v in check(database, server.accepted()) if v.invariant in ("I2", "I4")]


def test_express_goes_in_front_of_bulk_that_waits_for_its_turn(database: Database, server: SmtpServer) -> None:
    """A newsletter of minutes at 5/s: receipts leave within a second or two, and the rate still holds."""
    everybody = names(120)
    add_customers(database, everybody)
    queue(database, "news", everybody[:110])

    async def main() -> float:
        one = worker(database, smtp(server), AccountPace(rate=5.0))
        until = time.monotonic() + 9
        bulk = asyncio.create_task(work(one, Lane.BULK, until))
        await asyncio.sleep(3)
        queue(database, "receipt", everybody[110:115])
        began = time.time()
        express = asyncio.create_task(work(one, Lane.EXPRESS, until))
        await asyncio.sleep(6)
        one.stop()
        await asyncio.wait({bulk, express}, timeout=5)
        await one.close()
        return began

    began = asyncio.run(main())
    receipts = [a.time - began for a in server.accepted() if a.recipient[:5] in everybody[110:]]
    assert len(receipts) == 5
    assert min(receipts) < 1
    assert max(receipts) < 3, receipts
    assert 35 <= len(server.accepted()) <= 52, "5/s for nine seconds, and half a second's worth"


def test_a_clock_that_was_set_back_stops_no_account(database: Database) -> None:
    """The next turn far in the future is forgotten."""
    with database.write() as connection:
        connection.execute(tables.account_rate.insert(), {"account": "smtp", "next_at": time.time() + 3600})
    with database.write() as connection:
        assert account_rates.reserve(connection, "smtp", per_second=20, most=100, express=False)


@pytest.mark.parametrize(("text", "rate"), [("20/s", 20), ("90/min", 1.5), ("1800/h", 0.5), ("", None)])
def test_rates_are_read(text: str, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["20", "0/s", "fast", "20/d"])
def test_other_rates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="20/s"):
        parse_rate(text)


def test_a_new_sender_may_send_more_every_day() -> None:
    warm_up = WarmUp(start=date(2026, 12, 1), first_day=200, growth=1.5)
    days = [warm_up.maximum(date(2026, 11, 30) + n * DAY) for n in range(5)]
    assert days == [200, 200, 300, 450, 675]
    assert warm_up.maximum(date(2027, 12, 1)) is None


def test_what_is_beyond_the_day_of_a_new_sender_waits_for_the_next(database: Database, tmp_path: Path) -> None:
    """10, then 15: the rest is held with its reason until midnight in Rome; express counts and never waits."""
    add_customers(database, names(60))
    queue(database, "news", names(40), expires=NOW + 10 * DAY)
    queue(database, "receipt", names(60)[40:43])
    box = MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    pace = AccountPace(warm_up=WarmUp(start=NOW.date(), first_day=10, growth=1.5))

    def spend(now: Any, lane: Lane) -> None:
        async def main() -> None:
            one, other = (worker(database, box, pace) for _ in range(2))
            await asyncio.gather(*(each.run_slice(lane, now=now) for each in (one, other)))
            await one.close()
            await other.close()

        asyncio.run(main())

    def count(rule: str = "news") -> Counter[tuple[str, str, str]]:
        return Counter((r.state, r.reason, r.detail) for r in rows(database) if r.rule == rule)

    spend(NOW, Lane.EXPRESS)
    spend(NOW, Lane.BULK)
    assert count() == {("sent", "", ""): 7, ("scheduled", "provider", "warm_up"): 33}
    opening = {r.not_before for r in rows(database) if r.state == "scheduled"}
    assert opening == {NOW.replace(hour=23)}, "midnight in Rome"
    queue_more(database)
    spend(NOW, Lane.EXPRESS)
    assert count("code") == {("sent", "", ""): 2}
    spend(NOW + DAY, Lane.BULK)
    assert count()["sent", "", ""] == 7 + 15
    used = {r.day: r.used for r in rows(database, tables.account_day)}
    assert used == {"2026-11-24": 12, "2026-11-25": 15}


def queue_more(database: Database) -> None:
    queue(database, "code", names(60)[50:52])
