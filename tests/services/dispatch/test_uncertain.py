"""Operators say what became of messages with an unknown outcome; what nobody finds out is closed after 72 hours."""

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
from outbound.domain.errors import OutboundError
from outbound.domain.message import Lane
from outbound.services import uncertain
from outbound.services.reports import equation
from outbound.services.uncertain import Evidence
from outbound.storage import tables, timeline
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

HOUR = timedelta(hours=1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def world(database: Database, server: SmtpServer) -> World:
    add_customers(database, names(6))
    smtp = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
    return World(database=database, adapters={EMAIL: smtp})


def run(world: World, *, now: Any = NOW) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=now)
        await dispatcher.close()

    asyncio.run(main())


def rows(world: World, table: sa.Table = tables.message) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def states(world: World) -> dict[str, str]:
    return {row.customer_id: row.state for row in rows(world)}


def in_doubt(world: World, server: SmtpServer, *, kept: bool) -> list[str]:
    """Four messages without an answer to the final dot; the server has them, or not."""
    ids = queue(world.database, "receipt", names(4))
    server.set_modes("sent=close kept" if kept else "sent=close")
    run(world)
    server.set_modes()
    assert set(states(world).values()) == {"uncertain"}
    return ids


def test_the_list_says_what_a_provider_is_asked_by(world: World, server: SmtpServer) -> None:
    in_doubt(world, server, kept=True)
    found = uncertain.listed(world.database, limit=3)
    assert (len(found.messages), found.total) == (3, 4)
    everyone = uncertain.listed(world.database, run_id="run-receipt").messages
    assert {one.message_id for one in everyone} == {a.reference for a in server.accepted()}
    assert {one.address for one in everyone} == {a.recipient for a in server.accepted()}
    assert all(one.handed_over_at is not None and one.account for one in everyone)
    assert uncertain.listed(world.database, rule="news").total == 0


def test_what_a_provider_has_counts_as_sent_from_its_handover_on(world: World, server: SmtpServer) -> None:
    ids = in_doubt(world, server, kept=True)
    later = NOW + 5 * HOUR
    done = uncertain.resolve(world.database, ids, Evidence.SENT, by="mia", note="relay log", now=later)
    assert (done.resolved, done.moved) == (4, 0)
    assert {(row.state, row.detail, row.sent_at) for row in rows(world)} == {("sent", "operator mia", NOW)}
    assert check(world.database, server.accepted()) == ()
    with world.database.read() as connection:
        page = timeline.page(connection, ["c0001"], limit=10)
        (entry,) = [entry for entry in page if entry.kind == "operation"]
    assert (entry.state, entry.reason, entry.title) == ("resolve sent", "relay log", "receipt")
    assert entry.details["by"] == "mia"


def test_what_never_arrived_leaves_once_more_and_only_because_somebody_said_so(
    world: World, server: SmtpServer
) -> None:
    """P4: nothing is sent again by itself. Afterwards no doubt is left: a later refusal is a refusal."""
    ids = in_doubt(world, server, kept=False)
    run(world, now=NOW + HOUR)
    assert server.accepted() == []
    rehearsed = uncertain.resolve(
        world.database, [], Evidence.NOT_SENT, run_id="run-receipt", by="mia", note="", now=NOW + HOUR, dry_run=True
    )
    assert rehearsed.resolved == 4
    assert set(states(world).values()) == {"uncertain"}
    uncertain.resolve(world.database, ids, Evidence.NOT_SENT, by="mia", note="", now=NOW + HOUR)
    server.set_modes("rcpt=550 5.7.1 no for c0001")
    run(world, now=NOW + HOUR)
    assert states(world) == {"c0001": "failed", "c0002": "sent", "c0003": "sent", "c0004": "sent"}
    accepted = server.accepted()
    assert max(Counter(a.recipient for a in accepted).values()) == 1
    assert check(world.database, accepted) == ()


def test_the_gate_still_decides_about_what_is_sent_again(world: World, server: SmtpServer) -> None:
    ids = in_doubt(world, server, kept=False)
    late = NOW + 49 * HOUR
    uncertain.resolve(world.database, ids, Evidence.NOT_SENT, by="mia", note="", now=late)
    run(world, now=late)
    assert set(states(world).values()) == {"expired"}
    assert server.accepted() == []


def test_what_nobody_will_find_out_is_closed(world: World, server: SmtpServer) -> None:
    in_doubt(world, server, kept=True)
    uncertain.resolve(world.database, [], Evidence.UNKNOWN, run_id="run-receipt", by="mia", note="", now=NOW + HOUR)
    assert set(states(world).values()) == {"closed_unknown"}
    assert check(world.database, server.accepted()) == ()
    with world.database.read() as connection:
        assert equation(connection, "run-receipt").holds


def test_after_72_hours_the_waiting_ends_by_itself(world: World, server: SmtpServer) -> None:
    in_doubt(world, server, kept=True)
    assert uncertain.close_old(world.database, now=NOW + 71 * HOUR) == 0
    assert uncertain.close_old(world.database, now=NOW + 73 * HOUR) == 4
    assert {(row.state, row.detail) for row in rows(world)} == {("closed_unknown", "72h")}
    assert uncertain.close_old(world.database, now=NOW + 73 * HOUR) == 0


def test_a_wrong_id_changes_nothing_at_all(world: World, server: SmtpServer) -> None:
    ids = in_doubt(world, server, kept=True)
    with pytest.raises(OutboundError, match="there is no message x"):
        uncertain.resolve(world.database, [ids[0], "x"], Evidence.SENT, by="mia", note="", now=NOW)
    uncertain.resolve(world.database, ids[:1], Evidence.SENT, by="mia", note="", now=NOW)
    with pytest.raises(OutboundError, match="is sent, not uncertain"):
        uncertain.resolve(world.database, ids, Evidence.NOT_SENT, by="mia", note="", now=NOW)
    assert Counter(states(world).values()) == {"uncertain": 3, "sent": 1}


def test_evidence_that_came_first_wins(world: World, server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the lock a late answer proved one sent: the operator's word does not send it again."""
    ids = in_doubt(world, server, kept=True)
    monkeypatch.setattr(uncertain, "_check", lambda *_: None)
    uncertain.resolve(world.database, ids[:1], Evidence.SENT, by="mia", note="", now=NOW)
    done = uncertain.resolve(world.database, ids, Evidence.NOT_SENT, by="leo", note="", now=NOW)
    assert (done.resolved, done.moved) == (3, 1)
    assert Counter(states(world).values()) == {"ready": 3, "sent": 1}
