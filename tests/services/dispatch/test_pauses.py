"""Kill switches: they act within a second, on every handover, and a return never bursts."""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue, release, ruleset

from outbound.channels.email import mime
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.domain.errors import OutboundError
from outbound.domain.message import Lane
from outbound.services import pauses
from outbound.services.status import status
from outbound.storage import switches, tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

LATER = NOW + timedelta(minutes=30)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    add_customers(database, names(60))
    adapter = MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    return World(database=database, adapters={EMAIL: adapter})


def run(world: World, now: Any = NOW) -> None:
    """A fresh worker does everything that is due."""

    async def main() -> None:
        dispatcher = world.dispatcher()
        for lane in Lane:
            while (await dispatcher.run_slice(lane, now=now)).claimed:
                pass
        await dispatcher.close()

    asyncio.run(main())


def rows(world: World) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(tables.message).order_by(tables.message.c.not_before)))


def states(world: World) -> Counter[str]:
    return Counter(f"{row.state} {row.reason}".strip() for row in rows(world))


def pause(world: World, key: str, *, now: Any = NOW) -> None:
    assert pauses.pause(world.database, key, reason="wrong price", by="mia", now=now).new


def paced(per_hour: int) -> Any:
    """The release with a pace on ``news``."""
    rules = ruleset()
    news = rules.rules["news"]
    slow = replace(news, send=replace(news.send, pace_per_hour=per_hour))
    return release(rules=replace(rules, rules={**rules.rules, "news": slow}))


def test_nothing_is_handed_over_later_than_a_second_after_a_pause(database: Database, tmp_path: Path) -> None:
    """The bar: a dispatcher is sending while the switch is turned; what the server accepts after is what was in flight.

    Nothing is lost and nobody gets two copies: after the return everybody has had theirs.
    """
    people = names(1500)
    add_customers(database, people)
    queue(database, "receipt", people[:300])
    queue(database, "news", people[300:])
    done = threading.Event()
    with SmtpServer(tmp_path) as server:

        def dispatch() -> None:
            async def main() -> None:
                adapters = {
                    EMAIL: SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=4))
                }
                dispatcher = World(database=database, adapters=adapters).dispatcher(slice_size=60)
                begun = time.monotonic()
                while not done.is_set():
                    for lane in Lane:
                        # The clock goes on: what a handover gave back is due again a second later.
                        now = NOW + timedelta(seconds=int(time.monotonic() - begun))
                        await dispatcher.run_slice(lane, now=now)
                await dispatcher.close()

            asyncio.run(main())

        worker = threading.Thread(target=dispatch)
        worker.start()
        try:
            while len(server.accepted()) < 40:
                time.sleep(0.02)
            pauses.pause(database, "all", reason="drill", by="mia", now=NOW)
            time.sleep(1.0)
            after_a_second = len(server.accepted())
            time.sleep(1.5)
            assert len(server.accepted()) == after_a_second, "somebody was written to later than a second after"
            assert after_a_second < len(people), "everything had left: the test proved nothing"
        finally:
            done.set()
            worker.join()
        world = World(
            database=database,
            adapters={EMAIL: SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))},
        )
        assert set(states(world)) <= {"sent", "scheduled paused", "ready"}
        pauses.resume(database, world.active.ruleset, "all", by="mia", now=NOW)
        run(world, NOW + timedelta(hours=3))
        accepted = server.accepted()
    assert check(database, accepted) == ()
    assert sorted(Counter(a.recipient for a in accepted).values()) == [1] * len(people)


def test_a_switch_turned_between_gate_and_handover_stops_the_handover(world: World, tmp_path: Path) -> None:
    """The mark before the point of no return asks once more; the message waits unspent and no account is blamed."""
    queue(world.database, "receipt", names(3))
    turned: list[None] = []
    turning = asyncio.Lock()

    class Late(MailboxAdapter):
        async def deliver(self, parcel: Any, handover: Any) -> Any:
            async with turning:  # one turns it, the others wait for that
                if not turned:
                    turned.append(await asyncio.to_thread(pause, world, "rule:receipt"))
            return await super().deliver(parcel, handover)

    world.adapters = {EMAIL: Late(tmp_path / "box", channel=EMAIL, pack=mime.pack)}
    run(world)
    assert states(world) == {"scheduled paused": 3}
    with world.database.read() as connection:
        phases = set(connection.execute(sa.select(tables.attempt.c.phase, tables.attempt.c.outcome)).all())
    assert phases == {("started", "not_sent")}
    pauses.resume(world.database, world.active.ruleset, "rule:receipt", by="mia", now=NOW)
    run(world)
    assert states(world) == {"sent": 3}


@pytest.mark.parametrize(("key", "held"), [("all", 30), ("rule:news", 20), ("rule:other", 0), ("channel:email", 30)])
def test_a_switch_holds_what_it_names_and_a_return_lets_it_go(world: World, key: str, held: int) -> None:
    queue(world.database, "receipt", names(10))
    queue(world.database, "news", names(20))
    pause(world, key)
    run(world)
    assert states(world).get("scheduled paused", 0) == held
    assert states(world).get("sent", 0) == 30 - held
    assert [one.key for one in status(world.database, now=NOW).paused] == [key]
    done = pauses.resume(world.database, world.active.ruleset, key, by="mia", now=LATER)
    assert (done.due, done.expired, done.still) == (held, 0, ())
    run(world, LATER + timedelta(hours=2))
    assert states(world) == {"sent": 30}
    with world.database.read() as connection:
        log = connection.execute(sa.select(tables.operation).order_by(tables.operation.c.at)).all()
    assert [(one.kind, one.subject, one.by) for one in log] == [("pause", key, "mia"), ("resume", key, "mia")]
    assert log[0].note == "wrong price"


def test_a_return_wakes_at_once_and_spreads_the_bulk(world: World) -> None:
    """Held and never looked at alike; transactional messages leave at once, the others a second apart."""
    queue(world.database, "receipt", names(5))
    queue(world.database, "news", names(20))
    pause(world, "all")
    run(world)
    queue(world.database, "both", names(7), lane="bulk")  # nobody looks at these before the return
    forecast = pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER, dry_run=True)
    assert states(world) == {"scheduled paused": 25, "ready": 7}
    done = pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER)
    assert (done.due, done.express, done.spread) == (32, 5, 26.0)
    assert (forecast.due, forecast.express, forecast.spread) == (32, 5, 26.0)
    bulk = [row.not_before for row in rows(world) if row.lane == "bulk"]
    assert bulk == [LATER + timedelta(seconds=n) for n in range(27)]
    assert {row.not_before for row in rows(world) if row.lane == "express"} == {LATER}
    run(world, LATER)
    assert states(world)["sent"] == 6
    run(world, LATER + timedelta(seconds=10))
    assert states(world)["sent"] == 16


def test_many_leave_within_two_hours() -> None:
    assert pauses.step_for(1_000_000) * 1_000_000 == timedelta(hours=2)
    assert pauses.step_for(100) == timedelta(seconds=1)


def test_a_return_keeps_the_pace_also_with_those_whose_turn_is_still_to_come(world: World) -> None:
    """At most so many an hour: who waits behind the held ones moves, and nobody is asked twice."""
    world.active = paced(60)
    queue(world.database, "news", names(20), zone="Europe/Rome")
    pause(world, "rule:news")
    run(world)
    coming = [LATER + timedelta(minutes=5 + n) for n in range(5)]
    for number, at in enumerate(coming):
        with world.database.write() as connection:
            changed = tables.message.update().where(tables.message.c.customer_id == f"c{number + 16:04d}")
            connection.execute(changed.values(state="scheduled", reason="", detail="", held_by="", not_before=at))
    done = pauses.resume(world.database, world.active.ruleset, "rule:news", by="mia", now=LATER)
    assert (done.due, done.spread) == (15, 14 * 60.0)
    assert [row.not_before for row in rows(world)] == [LATER + timedelta(minutes=n) for n in range(20)]


def test_expires_keeps_running_and_the_return_says_how_many_it_took(world: World) -> None:
    queue(world.database, "news", names(20), expires=NOW + timedelta(minutes=10))
    queue(world.database, "both", names(12), lane="bulk")
    pause(world, "all")
    run(world)
    run(world, NOW + timedelta(minutes=10))
    assert states(world) == {"expired expired": 20, "scheduled paused": 12}
    done = pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER)
    assert (done.due, done.expired) == (12, 20)
    assert {row.detail for row in rows(world) if row.state == "expired"} == {"paused.all"}


def test_a_pace_too_slow_for_what_is_left_is_told_and_nobody_else_is_made_to_expire(world: World) -> None:
    soon = LATER + timedelta(minutes=5)
    queue(world.database, "news", names(20), expires=soon, zone="Europe/Rome")
    pause(world, "all")
    run(world)
    slow = pauses.resume(world.database, paced(60).ruleset, "all", by="mia", now=LATER, dry_run=True)
    assert slow.late == 15
    done = pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER)
    assert done.late == 0
    assert max(row.not_before for row in rows(world)) < soon


def test_what_another_switch_still_holds_stays(world: World) -> None:
    queue(world.database, "receipt", names(5))
    queue(world.database, "news", names(20))
    pause(world, "all")
    run(world)
    pause(world, "rule:news")
    done = pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER)
    assert (done.due, [one.key for one in done.still]) == (5, ["rule:news"])
    run(world, LATER + timedelta(hours=3))
    assert states(world) == {"sent": 5, "scheduled paused": 20}
    assert pauses.resume(world.database, world.active.ruleset, "rule:news", by="mia", now=LATER).due == 20
    run(world, LATER + timedelta(hours=3))
    assert states(world) == {"sent": 25}


def test_a_return_that_was_killed_is_finished_by_the_daemon(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch is off and some still sleep: without help they would sleep until they expire (nobody is skipped)."""
    queue(world.database, "news", names(20))
    pause(world, "all")
    run(world)

    class KilledError(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as broken, pytest.raises(KilledError):
        broken.setattr(pauses.paused_messages, "wake", die)
        pauses.resume(world.database, world.active.ruleset, "all", by="mia", now=LATER)
    assert states(world) == {"scheduled paused": 20}
    assert pauses.go_on_waking(world.database, world.active.ruleset, now=LATER) == 0, "somebody may be at it"
    monkeypatch.setattr(pauses, "_FORGOTTEN", timedelta(0))
    assert pauses.go_on_waking(world.database, world.active.ruleset, now=LATER) == 20
    assert pauses.go_on_waking(world.database, world.active.ruleset, now=LATER, thorough=True) == 0
    run(world, LATER + timedelta(minutes=1))
    assert states(world) == {"sent": 20}


def test_what_a_switch_is_called(world: World) -> None:
    """A rule, a channel, all; a rule that the release no longer has but that had a run; nothing else."""
    rules = world.active.ruleset

    def key(name: str) -> str:
        return pauses.key_of(world.database, rules, name)

    assert [key(name) for name in ("all", "sms", "news", "rule:news", "channel:sms")] == [
        "all",
        "channel:sms",
        "rule:news",
        "rule:news",
        "channel:sms",
    ]
    with pytest.raises(OutboundError, match="no rule and no channel"):
        key("gone")
    queue(world.database, "news", names(1))
    assert pauses.key_of(world.database, None, "news") == "rule:news"
    with world.database.write() as connection:
        connection.execute(tables.run.update().values(rule="email"))
    with pytest.raises(OutboundError, match="is a channel and a rule"):
        key("email")


def test_a_switch_that_is_on_keeps_its_reason_and_one_that_is_off_cannot_be_resumed(world: World) -> None:
    pause(world, "all")
    again = pauses.pause(world.database, "all", reason="other", by="leo", now=LATER)
    assert (again.new, again.switch.reason, again.switch.by) == (False, "wrong price", "mia")
    pauses.resume(world.database, None, "all", by="leo", now=LATER)
    with pytest.raises(OutboundError, match="is not paused"):
        pauses.resume(world.database, None, "all", by="leo", now=LATER)


def test_a_gate_in_flight_keeps_the_switch_it_has_read(world: World) -> None:
    """Else it would put messages to sleep after the return has woken all: they would sleep until they expire."""
    if world.database.is_sqlite:
        pytest.skip("a writer is alone on SQLite")
    pause(world, "all")
    resumed = threading.Event()

    def resume() -> None:
        pauses.resume(world.database, None, "all", by="mia", now=LATER)
        resumed.set()

    with world.database.write() as connection:
        switches.switches(connection, share=True)
        thread = threading.Thread(target=resume)
        thread.start()
        assert not resumed.wait(0.5)
    assert resumed.wait(10)
    thread.join()
