"""What each answer of a real SMTP server does to its message (delivery.md 2.5), and what accounts and zombies do."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, KEYRING, NOW, SMS, World, add_customers, names, queue, release

from outbound.channels.base import Handover, Parcel
from outbound.channels.email import mime
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.message import Lane
from outbound.domain.outcome import Outcome
from outbound.services.dispatch import SliceReport
from outbound.services.reports import equation
from outbound.storage import outbox_claims, tables
from outbound.storage.database import Database, database_now
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

MINUTE = timedelta(minutes=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    """A server that is well until told otherwise."""
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def world(database: Database, server: SmtpServer) -> World:
    """Thirty customers, e-mail over SMTP."""
    add_customers(database, names(30))
    return World(database=database, adapters={EMAIL: smtp(server)})


def smtp(server: SmtpServer, **more: Any) -> SmtpAdapter:
    return SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, **more))


def run(world: World, *, now: Any = NOW, lane: Lane = Lane.EXPRESS) -> SliceReport:
    """One slice by a fresh worker over fresh connections."""

    async def main() -> SliceReport:
        dispatcher = world.dispatcher()
        report = await dispatcher.run_slice(lane, now=now)
        await dispatcher.close()
        return report

    return asyncio.run(main())


def rows(world: World, table: sa.Table = tables.message) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


@pytest.mark.parametrize(
    ("fault", "state", "detail"),
    [
        ("rcpt=550 5.1.1 no such user", "failed", "rejected_recipient 550 5.1.1"),
        ("rcpt=550 5.7.1 not you", "failed", "rejected_policy 550 5.7.1"),
        ("sent=552 5.3.4 too big", "failed", "rejected_content 552 5.3.4"),
        ("rcpt=451 4.3.0 later", "ready", "deferred 451 4.3.0"),
        ("sent=451 4.3.0 later", "ready", "deferred 451 4.3.0"),
        ("body=close", "ready", "not_sent"),
        ("sent=close", "uncertain", "uncertain"),
        ("sent=close kept", "uncertain", "uncertain"),
    ],
)
def test_an_answer_moves_its_message(world: World, server: SmtpServer, fault: str, state: str, detail: str) -> None:
    """And no other: the healthy recipient is sent in the same slice (F10). Only a hard bounce blocks the address."""
    queue(world.database, "receipt", ["c0001", "c0002"])
    server.set_modes(f"{fault} for c0001")
    run(world)
    found = {row.customer_id: row for row in rows(world)}
    assert (found["c0001"].state, found["c0001"].detail) == (state, detail)
    assert found["c0002"].state == "sent"
    suppressed = {row.hash for row in rows(world, tables.suppression)}
    assert suppressed == ({KEYRING.address_hash("email", "c0001@example.com")} if "5.1.1" in fault else set())
    assert check(world.database, server.accepted()) == ()


def test_a_deferral_waits_its_turn_and_then_leaves_with_the_same_bytes(world: World, server: SmtpServer) -> None:
    """5 minutes and at most 20 % more; charged; the retry renders the release of the first render (F51)."""
    queue(world.database, "receipt", ["c0001"])
    server.set_modes("sent=451 4.3.0 later times 1")
    run(world)
    (waiting,) = rows(world)
    assert NOW + 5 * MINUTE <= waiting.not_before <= NOW + 6 * MINUTE
    assert waiting.attempts == 1
    world.older["r1"] = world.active
    world.active = release("r2", "Goodbye")
    assert run(world, now=NOW + 4 * MINUTE).claimed == 0
    run(world, now=NOW + 6 * MINUTE)
    (sent,) = rows(world)
    assert (sent.state, sent.release, sent.attempts) == ("sent", "r1", 2)
    assert [(a.reference, a.sha256) for a in server.accepted()] == [(sent.message_id, waiting.body_hash)]
    assert sorted((a.n, a.outcome) for a in rows(world, tables.attempt)) == [(1, "deferred"), (2, "accepted")]


def test_other_bytes_after_a_handover_are_not_sent(world: World, server: SmtpServer) -> None:
    """The hash of the first handover does not match: uncertain, for an operator (delivery.md 2.2)."""
    queue(world.database, "receipt", ["c0001"])
    server.set_modes("sent=451 4.3.0 later times 1")
    run(world)
    world.older["r1"] = release("r1", "Tampered")
    world.active = release("r2")
    run(world, now=NOW + 6 * MINUTE)
    (row,) = rows(world)
    assert (row.state, row.reason) == ("uncertain", "render")
    assert server.accepted() == []


def test_a_retry_window_that_runs_out_is_expired_with_the_last_error(world: World, server: SmtpServer) -> None:
    queue(world.database, "receipt", ["c0001"], expires=NOW + 4 * MINUTE)
    server.set_modes("rcpt=451 4.3.0 later")
    run(world)
    (row,) = rows(world)
    assert (row.state, row.reason, row.detail) == ("expired", "expired", "deferred 451 4.3.0")


def test_an_unknown_outcome_is_never_resent_unless_the_class_says_so(world: World, server: SmtpServer) -> None:
    """P4: ``hold`` stays; ``security`` goes again at least once, each copy with the same Message-ID."""
    queue(world.database, "receipt", ["c0001"])
    queue(world.database, "code", ["c0002"])
    server.set_modes("sent=close kept times 2")
    run(world)
    assert {r.rule: r.state for r in rows(world)} == {"receipt": "uncertain", "code": "ready"}
    server.set_modes()
    run(world, now=NOW + MINUTE)
    assert {r.rule: r.state for r in rows(world)} == {"receipt": "uncertain", "code": "sent"}
    copies = Counter(a.recipient for a in server.accepted())
    assert copies == {"c0001@example.com": 1, "c0002@example.com": 2}
    assert len({a.reference for a in server.accepted() if a.recipient.startswith("c0002")}) == 1
    assert check(world.database, server.accepted()) == ()


def test_a_copy_in_doubt_ends_sent_or_uncertain_and_nothing_else(world: World, server: SmtpServer) -> None:
    """A one-time code whose first copy may have arrived is refused on the second try: still uncertain, not failed."""
    queue(world.database, "code", ["c0001"])
    server.set_modes("sent=close kept times 1")
    run(world)
    server.set_modes("rcpt=550 5.7.1 no")
    run(world, now=NOW + MINUTE)
    assert [r.state for r in rows(world)] == ["uncertain"]
    assert check(world.database, server.accepted()) == ()


def test_a_bounce_goes_on_to_the_next_channel(database: Database, server: SmtpServer, tmp_path: Path) -> None:
    """Waterfall: leg 2 by SMS after a recorded bounce; the customer still has one message."""
    add_customers(database, ["c0001"])
    queue(database, "both", ["c0001"])
    sms = MailboxAdapter(tmp_path / "box", channel=SMS, pack=text.pack)
    world = World(database=database, adapters={EMAIL: smtp(server), SMS: sms})
    server.set_modes("rcpt=550 5.1.1 no such user")
    run(world)
    assert [r.state for r in rows(world)] == ["ready"]
    run(world)
    (row,) = rows(world)
    assert (row.state, row.leg) == ("sent", 2)
    legs = sorted((leg.n, leg.channel, leg.moved_on) for leg in rows(world, tables.leg))
    assert legs == [(1, "email", "bounced"), (2, "sms", "")]
    assert len(list((tmp_path / "box").glob("**/*.txt"))) == 1


@pytest.mark.parametrize("fault", ["connect=421 4.3.2 down", "auth=535 5.7.8 wrong password"])
def test_an_account_that_fails_is_paused_and_then_probed(database: Database, tmp_path: Path, fault: str) -> None:
    """Five failed connections, or one refused login, open the breaker: the rest go back unspent, a probe finds out."""
    add_customers(database, names(30))
    queue(database, "receipt", names(30))
    with SmtpServer(tmp_path, modes=[fault], accounts={"u": "p"}, keep=False) as server:
        # the server offers no TLS: on loopback a password may travel without it
        account = smtp(server, username="u", password="p", pool_size=1)
        world = World(database=database, adapters={EMAIL: account})

        async def main() -> None:
            dispatcher = world.dispatcher()
            report = await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
            assert report.claimed == 30
            assert report.sent == 0
            waiting = rows(world)
            assert {r.state for r in waiting} == {"ready"}
            assert {r.attempts for r in waiting} == {0}, "nothing was spent"
            assert min(r.not_before for r in waiting) >= NOW + timedelta(seconds=30)
            tried = server.connections()
            assert tried <= 6
            server.set_modes()
            later = NOW + timedelta(minutes=2)
            while (report := await dispatcher.run_slice(Lane.EXPRESS, now=later)).claimed:
                later += timedelta(minutes=2)
            await dispatcher.close()

        asyncio.run(main())
        assert {r.state for r in rows(world)} == {"sent"}
        assert check(database, server.accepted()) == ()


class Sleepy(MailboxAdapter):
    """A worker that sleeps through its lease right before the point of no return (SIGSTOP, F04)."""

    meanwhile: Any = None

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        await self.meanwhile()
        return await super().deliver(parcel, handover)


def test_a_worker_that_lost_its_lease_sends_nothing(database: Database, tmp_path: Path) -> None:
    """F04: while it slept another worker recovered and sent the message; on waking it is refused the handover."""
    add_customers(database, ["c0001"])
    queue(database, "receipt", ["c0001"])
    sleepy = Sleepy(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    other = World(database=database, adapters={EMAIL: MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)})

    async def meanwhile() -> None:
        def lose() -> None:
            with database.write() as connection:
                lease_now = database_now(connection) + timedelta(hours=1)
                outbox_claims.recover_expired(connection, lease_now=lease_now, now=NOW, resend_delay=MINUTE)

        await asyncio.to_thread(lose)
        await other.dispatcher().run_slice(Lane.EXPRESS, now=NOW)

    sleepy.meanwhile = meanwhile
    report = run(World(database=database, adapters={EMAIL: sleepy}))
    assert report.late == 1
    assert [r.state for r in rows(other)] == ["sent"]
    assert len(list((tmp_path / "box").glob("**/*.eml"))) == 1


def test_a_stopping_worker_gives_back_what_it_has_not_begun(database: Database, tmp_path: Path) -> None:
    """SIGTERM: what is on the wire is finished and recorded, the rest is ready for the next worker at once."""
    add_customers(database, names(60))
    queue(database, "news", names(60))
    first = Sleepy(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    world = World(database=database, adapters={EMAIL: first})

    async def main() -> SliceReport:
        dispatcher = world.dispatcher()

        async def meanwhile() -> None:
            dispatcher.stop()

        first.meanwhile = meanwhile
        report = await dispatcher.run_slice(Lane.BULK, now=NOW)
        await dispatcher.close()
        return report

    report = asyncio.run(main())
    assert 1 <= report.sent < 60
    states = Counter(r.state for r in rows(world))
    assert states == {"sent": report.sent, "ready": 60 - report.sent}
    assert len(list((tmp_path / "box").glob("**/*.eml"))) == report.sent


def test_two_workers_share_the_work_and_no_message(world: World, server: SmtpServer) -> None:
    """F05: two dispatchers at once, each row to one of them."""
    more = names(430)[30:]
    add_customers(world.database, more)
    queue(world.database, "receipt", more)

    def work() -> None:
        mine = replace(world, adapters={EMAIL: smtp(server)})
        while run(mine).claimed:
            mine = replace(world, adapters={EMAIL: smtp(server)})

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert check(world.database, server.accepted()) == ()
    assert len(server.accepted()) == len(more)
    assert {r.lease_token for r in rows(world)} == {1}


def test_the_report_accounts_for_everybody(world: World, server: SmtpServer) -> None:
    """The equation of a run with every kind of end (F11)."""
    queue(world.database, "receipt", names(6), skipped=4)
    server.set_modes("rcpt=550 5.1.1 no for c0001", "sent=close for c0002", "rcpt=451 4.3.0 later for c0003")
    run(world)
    with world.database.read() as connection:
        report = equation(connection, "run-receipt", now=NOW)
    assert report.holds
    assert (report.candidates, report.skipped, report.messages) == (10, 4, 6)
    assert report.states == {"failed": 1, "uncertain": 1, "ready": 1, "sent": 3}
    assert report.channels == {"email": 3}
    assert report.unfinished == 0
    with world.database.write() as connection:
        lost = tables.message.delete().where(tables.message.c.customer_id == "c0004")
        connection.execute(lost)
    with world.database.read() as connection:
        assert not equation(connection, "run-receipt").holds
    broken = {v.invariant for v in check(world.database, server.accepted())}
    assert broken == {"I3", "I6"}, "the checker sees the lost row"


class Hanging(MailboxAdapter):
    """A provider that never answers, before the point of no return."""

    reached: asyncio.Event

    async def deliver(self, _parcel: Parcel, _handover: Handover) -> Outcome:
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("rule", ["receipt", "news"])
def test_a_cancelled_slice_leaves_nothing_running_and_nothing_lost(
    database: Database, tmp_path: Path, rule: str
) -> None:
    """A drain that takes too long: unsent messages are ready again; bulk ones marked ahead become uncertain."""
    add_customers(database, names(60))
    queue(database, rule, names(60))
    hanging = Hanging(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    world = World(database=database, adapters={EMAIL: hanging})

    async def main() -> None:
        hanging.reached = asyncio.Event()
        dispatcher = world.dispatcher()
        slice_ = asyncio.create_task(dispatcher.run_slice(Lane.EXPRESS if rule == "receipt" else Lane.BULK, now=NOW))
        await hanging.reached.wait()
        slice_.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slice_
        await dispatcher.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    with database.write() as connection:
        lease_now = database_now(connection) + timedelta(hours=1)
        outbox_claims.recover_expired(connection, lease_now=lease_now, now=NOW, resend_delay=MINUTE)
    states = Counter(r.state for r in rows(world))
    if rule == "receipt":
        assert states == {"ready": 60}
    else:
        assert states["ready"] + states["uncertain"] == 60
        assert 0 < states["uncertain"] <= 25
