"""The gate stops what is queued of a run that passed a limit on its way, and of no other."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue

from outbound.channels.email import mime
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.domain.limits import Counted, Exceeded
from outbound.domain.message import Lane
from outbound.services import approvals
from outbound.services.reports import equation
from outbound.storage import run_limits, tables
from outbound.storage.database import Database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Three receipts of one run and three of another rule's, all due."""
    add_customers(database, names(6))
    queue(database, "receipt", names(3))
    queue(database, "code", names(6)[3:])
    return World(database=database, adapters={EMAIL: MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)})


def stop(world: World) -> None:
    with world.database.write() as connection:
        run_limits.keep_count(
            connection, "run-receipt", Counted(messages=3), Exceeded(what="recipients", text="3 recipients > 2")
        )


def run(world: World, *, now: Any = NOW) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        while (await dispatcher.run_slice(Lane.EXPRESS, now=now)).claimed:
            pass
        await dispatcher.close()

    asyncio.run(main())


def receipts(world: World) -> set[tuple[Any, ...]]:
    message = tables.message
    columns = (message.c.state, message.c.reason, message.c.detail, message.c.not_before)
    with world.database.read() as connection:
        rows = connection.execute(sa.select(*columns).where(message.c.run_id == "run-receipt"))
        return {tuple(row) for row in rows}


def states(world: World, run_id: str) -> dict[str, int]:
    with world.database.read() as connection:
        return dict(equation(connection, run_id).states)


def test_queued_messages_of_a_stopped_run_wait_and_the_others_leave(world: World) -> None:
    """They were ready when the limit was passed: nobody looks at them again before they nearly expire."""
    stop(world)
    run(world)
    expires = NOW + timedelta(hours=48)
    assert receipts(world) == {("scheduled", "limits", "recipients", expires - timedelta(minutes=1))}
    assert states(world, "run-code") == {"sent": 3}
    run(world, now=NOW + timedelta(hours=47))
    assert states(world, "run-receipt") == {"scheduled": 3}
    run(world, now=expires - timedelta(seconds=50))
    assert states(world, "run-receipt") == {"expired": 3}


def test_approved_they_leave(world: World) -> None:
    stop(world)
    run(world)
    done = approvals.approve(world.database, world.active, "run-receipt", count=3, by="mia", now=NOW)
    assert done.messages == 3
    run(world)
    assert states(world, "run-receipt") == {"sent": 3}


def test_what_a_daemon_held_while_the_run_was_rejected_is_skipped(world: World) -> None:
    """Claimed before the word, judged after it: the gate knows."""
    with world.database.write() as connection:
        stopped = Exceeded(what="recipients", text="3 recipients > 2")
        run_limits.keep_count(connection, "run-receipt", Counted(messages=3), stopped)
        run_limits.decide(connection, "run-receipt", limited="rejected", approved=Counted(), by="mia", now=NOW)
    run(world)
    assert {row[:3] for row in receipts(world)} == {("skipped", "limits", "rejected")}
