"""What a provider refused or never took is tried again on the same rows, and nothing that may have arrived (F12)."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.message import Lane
from outbound.services.reports import equation
from outbound.services.resend import Resent, resend_failed
from outbound.storage import tables, timeline
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

PEOPLE = names(40)
LATER = NOW + timedelta(hours=50)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def world(database: Database, server: SmtpServer) -> World:
    add_customers(database, PEOPLE)
    smtp = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
    return World(database=database, adapters={EMAIL: smtp})


def run(world: World, *, now: Any = NOW) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        for lane in Lane:
            while (await dispatcher.run_slice(lane, now=now)).claimed:
                pass
        await dispatcher.close()

    asyncio.run(main())


def rows(world: World, table: sa.Table = tables.message) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def states(world: World) -> Counter[str]:
    return Counter(row.state for row in rows(world))


def resend(world: World, rule: str, *, now: Any = LATER, dry_run: bool = False) -> Resent:
    return resend_failed(world.database, world.active.ruleset, f"run-{rule}", by="mia", now=now, dry_run=dry_run)


def test_f12_the_failed_part_of_a_run_is_found_and_sent_once_the_provider_is_well(
    world: World, server: SmtpServer
) -> None:
    """F12: the provider fails for 30 % of a run. `resend --failed` reaches exactly these, on the same rows."""
    queue(world.database, "news", PEOPLE)
    before = {row.customer_id: (row.id, row.once) for row in rows(world)}
    server.set_modes("rcpt=552 5.3.4 too big for ^c00(0[1-9]|1[0-2])@")
    run(world)
    assert states(world) == {"sent": 28, "failed": 12}
    server.set_modes()
    rehearsed = resend(world, "news", dry_run=True)
    assert (rehearsed.messages, rehearsed.states, rehearsed.spread) == (12, {"failed": 12}, 11.0)
    assert states(world) == {"sent": 28, "failed": 12}
    assert resend(world, "news").messages == 12
    assert resend(world, "news").messages == 0, "they are on their way"
    run(world, now=LATER + timedelta(minutes=1))
    assert states(world) == {"sent": 40}
    assert {row.customer_id: (row.id, row.once) for row in rows(world)} == before
    accepted = server.accepted()
    assert sorted(Counter(a.recipient for a in accepted).values()) == [1] * 40
    assert check(world.database, accepted) == ()
    with world.database.read() as connection:
        assert equation(connection, "run-news").holds
        tries = connection.execute(
            sa.select(sa.func.count()).where(tables.attempt.c.message_id == before["c0001"][0])
        ).scalar_one()
        kinds = [(entry.kind, entry.state) for entry in timeline.page(connection, ["c0001"], limit=9)]
    assert tries == 2, "each try is kept"
    assert ("operation", "resend failed") in kinds


def test_what_may_have_arrived_is_left_alone(world: World, server: SmtpServer) -> None:
    """Unknown outcomes need evidence, not a repetition; they are counted and named."""
    queue(world.database, "receipt", PEOPLE[:3])
    server.set_modes("sent=close kept for c0001", "rcpt=550 5.7.1 no for c0002")
    run(world)
    assert states(world) == {"uncertain": 1, "failed": 1, "sent": 1}
    done = resend(world, "receipt", now=NOW)
    assert (done.messages, done.uncertain, done.in_doubt) == (1, 1, 0)
    server.set_modes()
    run(world)
    assert states(world) == {"uncertain": 1, "sent": 2}
    assert max(Counter(a.recipient for a in server.accepted()).values()) == 1


def test_a_failure_after_a_doubt_is_not_repeated(world: World, server: SmtpServer) -> None:
    """However such a row came to be: one attempt of it may have arrived."""
    (identity,) = queue(world.database, "receipt", PEOPLE[:1])
    server.set_modes("sent=close kept")
    run(world)
    with world.database.write() as connection:
        connection.execute(tables.message.update().values(state="failed"))
    done = resend(world, "receipt", now=NOW)
    assert (done.messages, done.in_doubt) == (0, 1)
    assert states(world) == {"failed": 1}, identity


def test_what_expired_while_the_provider_was_tried_gets_its_time_again(world: World, server: SmtpServer) -> None:
    """And what expired while it was held was never tried: that is no failure of a provider."""
    queue(world.database, "receipt", PEOPLE[:2], expires=NOW + timedelta(minutes=4))
    queue(world.database, "news", PEOPLE[:2], expires=NOW, held_by="quiet_hours")
    server.set_modes("rcpt=451 4.3.0 later")
    run(world)
    assert states(world) == {"expired": 4}
    server.set_modes()
    assert resend(world, "news").messages == 0
    done = resend(world, "receipt")
    assert done.states == {"expired": 2}
    assert {row.expires for row in rows(world) if row.rule == "receipt"} == {LATER + timedelta(minutes=4)}
    run(world, now=LATER)
    assert states(world) == {"sent": 2, "expired": 2}


def test_the_gate_decides_again(world: World, server: SmtpServer) -> None:
    """A hard bounce has suppressed the address, and one customer withdrew: neither gets anything."""
    queue(world.database, "news", PEOPLE[:3])
    server.set_modes("rcpt=550 5.1.1 unknown for c0001", "rcpt=550 5.7.1 no")
    run(world)
    assert states(world) == {"failed": 3}
    with world.database.write() as connection:
        mine = tables.consent.c.customer_id == "c0002"
        connection.execute(tables.consent.update().where(mine).values(state="withdrawn"))
    server.set_modes()
    assert resend(world, "news").messages == 3
    run(world, now=LATER + timedelta(minutes=1))
    assert {row.customer_id: (row.state, row.reason) for row in rows(world)} == {
        "c0001": ("skipped", "suppressed"),
        "c0002": ("skipped", "consent"),
        "c0003": ("sent", ""),
    }
