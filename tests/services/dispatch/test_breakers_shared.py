"""Pauses of accounts and destinations, kept by every worker of the installation (delivery.md 2.7)."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, World, add_customers, names, queue

from outbound.channels.email import mime
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.message import Lane
from outbound.services.dispatch import Dispatcher
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


def smtp(server: SmtpServer) -> SmtpAdapter:
    return SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=1))


def rows(database: Database, table: sa.Table = tables.message) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def two(database: Database, server: SmtpServer) -> tuple[Dispatcher, Dispatcher]:
    """Two workers with connections of their own."""
    first, second = (World(database=database, adapters={EMAIL: smtp(server)}).dispatcher() for _ in range(2))
    return first, second


async def drain(dispatcher: Dispatcher, now: datetime) -> int:
    """Slices until nothing is due; how many messages were sent."""
    sent = 0
    while (report := await dispatcher.run_slice(Lane.EXPRESS, now=now)).claimed:
        sent += report.sent
    return sent


def test_what_one_worker_learns_every_worker_keeps(database: Database, server: SmtpServer) -> None:
    """F31: while one has the account paused, another connects to nothing; one probe of all workers an interval."""
    add_customers(database, names(40))
    queue(database, "receipt", names(40))
    server.set_modes("connect=421 4.3.2 down")

    async def main() -> None:
        first, second = two(database, server)
        await first.run_slice(Lane.EXPRESS, now=NOW)
        tried = server.connections()
        assert 5 <= tried <= 6
        assert await drain(second, NOW + 20 * SECOND) == 0
        assert server.connections() == tried, "the second worker connected to a paused account"
        now, probes = NOW + 20 * SECOND, []
        while now < NOW + 6 * HOUR:  # down for six hours
            now += 10 * MINUTE
            before = server.connections()
            await asyncio.gather(drain(first, now), drain(second, now))
            probes.append(server.connections() - before)
        assert max(probes) == 1, "more than one probe in an interval"
        assert {r.attempts for r in rows(database)} == {0}, "nothing was spent"
        server.set_modes()
        now += 20 * MINUTE
        rounds = []
        while sum(rounds) < 40:
            rounds.append((await first.run_slice(Lane.EXPRESS, now=now)).sent)
            now += 2 * SECOND if rounds[-1] else MINUTE
        so_far = [sum(rounds[:n]) for n in range(len(rounds))]
        assert all(some <= 2 * before + 2 for some, before in zip(rounds, so_far, strict=True)), "no slow start"
        await first.close()
        await second.close()

    asyncio.run(main())
    assert {r.state for r in rows(database)} == {"sent"}
    assert rows(database, tables.breaker) == []
    assert check(database, server.accepted()) == ()


def test_a_probe_whose_worker_died_is_taken_over(database: Database, server: SmtpServer) -> None:
    """A probe nobody hears of again keeps the others waiting for a minute, not for good."""
    add_customers(database, names(3))
    queue(database, "receipt", names(3))
    paused = {"account": "smtp", "domain": "", "until": NOW, "pause": 30, "reason": "not_sent", "opened_at": NOW}
    with database.write() as connection:
        connection.execute(tables.breaker.insert(), {**paused, "probe_until": NOW + MINUTE})

    async def main() -> None:
        dispatcher, other = two(database, server)
        assert await drain(dispatcher, NOW + SECOND) == 0
        assert await drain(other, NOW + 2 * MINUTE) >= 1
        await dispatcher.close()
        await other.close()

    asyncio.run(main())


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_f28_a_429_makes_the_whole_channel_wait_and_costs_nothing(
    database: Database, tmp_path: Path, form: str
) -> None:
    """F28: Retry-After in seconds and as a date; no attempt spent, no request before it is over, mail goes on."""
    add_customers(database, names(30))
    queue(database, "both", names(20), channels="sms")
    queue(database, "receipt", names(30)[20:])
    when = datetime.now(UTC) + 90 * SECOND
    header = "90" if form == "seconds" else format_datetime(when, usegmt=True)
    with TwilioDouble(tmp_path) as double:
        settings = TwilioSettings(
            account_sid=double.account_sid,
            auth_token=double.auth_token,
            from_number="+15005550006",
            api_base=double.api_base,
            concurrency=1,
        )
        mail = MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)
        world = World(database=database, adapters={EMAIL: mail, SMS: TwilioAdapter(settings)})
        double.set_modes(f"request=429 {header}")

        async def main() -> None:
            dispatcher = world.dispatcher()
            other = World(database=database, adapters={EMAIL: mail, SMS: TwilioAdapter(settings)}).dispatcher()
            await drain(dispatcher, NOW)
            states = Counter((r.rule, r.state, r.attempts) for r in rows(database))
            assert states == {("both", "ready", 0): 20, ("receipt", "sent", 1): 10}
            asked = [r for r in rows(database, tables.attempt) if r.outcome == "throttled"]
            assert len(asked) == 1, "others asked although the account was told to wait"
            double.set_modes()
            for worker in (dispatcher, other):
                assert await drain(worker, NOW + 60 * SECOND) == 0
            now = NOW + 8 * MINUTE
            while any(r.state != "sent" for r in rows(database)):
                await drain(dispatcher, now)
                now += MINUTE
            await dispatcher.close()
            await other.close()

        asyncio.run(main())
        assert len(double.accepted()) == 20


def test_a_destination_that_defers_is_paused_alone_and_for_every_worker(database: Database, server: SmtpServer) -> None:
    """F32: after five deferrals its other messages wait unspent; every other destination goes on."""
    add_customers(database, names(60))
    slow = names(30)
    with database.write() as connection:
        for customer in slow:
            here = (tables.address.c.customer_id == customer, tables.address.c.channel == "email")
            connection.execute(tables.address.update().where(*here).values(value=f"{customer}@slow.example"))
    queue(database, "receipt", names(60))
    server.set_modes("rcpt=451 4.7.1 try again later for slow")

    async def main() -> None:
        first, second = two(database, server)
        assert await drain(first, NOW) == 30
        told = Counter(r.outcome for r in rows(database, tables.attempt) if r.outcome != "accepted")
        assert told["throttled"] == 5
        assert await drain(second, NOW + 20 * SECOND) == 0
        assert sum(r.outcome == "throttled" for r in rows(database, tables.attempt)) == 5
        (paused,) = rows(database, tables.breaker)
        assert (paused.account, paused.domain) == ("smtp", "slow.example")
        server.set_modes()
        now = NOW + MINUTE
        while any(r.state != "sent" for r in rows(database)):
            await drain(second, now)
            now += MINUTE
            assert now < NOW + HOUR
        await first.close()
        await second.close()

    asyncio.run(main())
    assert rows(database, tables.breaker) == []
    assert check(database, server.accepted()) == ()
