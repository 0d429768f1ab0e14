"""A message's own time at the gate: new tables of time zones (F47), people who moved, dates that changed."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import time, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue, release, ruleset

from outbound.channels.email import mime
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.message import Lane
from outbound.domain.release import Ruleset
from outbound.domain.rule import DateTrigger, Rule, ScheduleTrigger
from outbound.engine.timing import zones
from outbound.storage import tables
from outbound.storage.database import Database

DAILY = ScheduleTrigger(at=time(11), zone=None, recurrence="FREQ=DAILY")
ELEVEN = {"local_time": "2026-11-24T11:00", "zone": "Europe/Rome"}  # NOW
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Three customers in Rome; ``receipt`` follows their clocks."""
    add_customers(database, names(3))
    adapters = {EMAIL: MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)}
    return World(database=database, adapters=adapters, active=release(rules=with_trigger(DAILY)))


def with_trigger(trigger: Any, **more: Any) -> Ruleset:
    rules = ruleset()
    rule: Rule = replace(rules.rules["receipt"], trigger=trigger, **more)
    return replace(rules, rules={**rules.rules, "receipt": rule})


def run(world: World, now: Any = NOW) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=now)
        await dispatcher.close()

    asyncio.run(main())


def states(world: World) -> dict[str, tuple[str, str, str]]:
    with world.database.read() as connection:
        found = connection.execute(sa.select(tables.message)).all()
    return {row.customer_id: (row.state, row.reason, row.detail) for row in found}


def change(world: World, customer_id: str, **values: Any) -> None:
    with world.database.write() as connection:
        connection.execute(tables.customer.update().where(tables.customer.c.id == customer_id).values(**values))


@pytest.fixture
def new_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A second database of time zones, in which Rome keeps London's time; the call starts using it."""
    with as_file(files("tzdata.zoneinfo")) as package:
        shutil.copytree(package, tmp_path / "tzdata", ignore=shutil.ignore_patterns("__pycache__"))
    rome = tmp_path / "tzdata" / "Europe" / "Rome"
    rome.write_bytes((tmp_path / "tzdata" / "Europe" / "London").read_bytes())

    def forget() -> None:
        zones.zone_named.cache_clear()
        zones._resolve.cache_clear()  # it keeps zones too

    def use() -> None:
        def elsewhere(package: str) -> Any:
            return tmp_path / "tzdata" if package == "tzdata.zoneinfo" else files(package)

        monkeypatch.setattr(zones, "files", elsewhere)
        forget()

    yield use
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize("trigger", [DAILY, replace(DAILY, zone="Europe/Rome")])
def test_f47_new_tables_of_time_zones_are_heard_at_the_gate(
    world: World, new_tables: Callable[[], None], trigger: ScheduleTrigger
) -> None:
    """F47: stored is the wall clock and the zone; with the tables changed since, the message waits for its 11:00."""
    world.active = release(rules=with_trigger(trigger))
    queue(world.database, "receipt", names(1), **ELEVEN)
    new_tables()
    run(world)
    assert states(world)["c0001"] == ("scheduled", "quiet_hours", "wall_time")
    run(world, NOW + HOUR - timedelta(seconds=1))
    assert states(world)["c0001"][0] == "scheduled"
    run(world, NOW + HOUR)
    assert states(world)["c0001"][0] == "sent"


def test_f47_with_the_same_tables_it_leaves_at_once(world: World) -> None:
    """F47, the other half: nothing changed, so nothing waits."""
    queue(world.database, "receipt", names(1), **ELEVEN)
    run(world)
    assert states(world)["c0001"][0] == "sent"


def test_the_gate_reads_the_clock_of_where_the_customer_is_now(world: World) -> None:
    """Moved west a moment ago, before any pass of planning: not sent by the old clock."""
    queue(world.database, "receipt", names(2), **ELEVEN)
    change(world, "c0001", zone_source="tz:Europe/London")
    run(world)
    assert {name: found[0] for name, found in states(world).items()} == {"c0001": "scheduled", "c0002": "sent"}
    run(world, NOW + HOUR)
    assert states(world)["c0001"][0] == "sent"


def test_a_rule_on_its_own_clock_does_not_care_who_moves(world: World) -> None:
    world.active = release(rules=with_trigger(replace(DAILY, zone="Europe/Rome")))
    queue(world.database, "receipt", names(1), **ELEVEN)
    change(world, "c0001", zone_source="tz:Europe/London")
    run(world)
    assert states(world)["c0001"][0] == "sent"


DUE = DateTrigger(
    attribute="customer.due",
    at=time(11),
    zone=None,
    offsets=(Duration(-3, DurationUnit.DAY), Duration(-1, DurationUnit.DAY)),
)


def dated(world: World, trigger: DateTrigger, **more: Any) -> None:
    """Messages planned for 24 November, and customers whose date is three days on."""
    world.active = release(rules=with_trigger(trigger, **more))
    queue(world.database, "receipt", names(3), **ELEVEN)
    with world.database.write() as connection:
        connection.execute(tables.run.update().values(slot="2026-11-24", trigger="date"))
    for name in names(3):
        change(world, name, attributes={"due": "2026-11-27"})


def test_a_date_that_changed_while_the_message_waited_stops_it(world: World) -> None:
    """The new date has a message of its own; no date has none."""
    dated(world, DUE)
    change(world, "c0001", attributes={"due": "2026-12-27"})
    change(world, "c0002", attributes={})
    run(world)
    assert states(world) == {
        "c0001": ("skipped", "match", "date"),
        "c0002": ("skipped", "match", "date"),
        "c0003": ("sent", "", ""),
    }


def test_a_new_date_that_is_due_today_too_lets_it_go_if_the_words_are_the_same(world: World) -> None:
    """Tomorrow instead of in three days is another offset of today, with the same template."""
    dated(world, DUE)
    change(world, "c0001", attributes={"due": "2026-11-25"})
    run(world)
    assert states(world)["c0001"][0] == "sent"


def test_a_new_date_with_other_words_does_not(world: World) -> None:
    send = replace(ruleset().rules["receipt"].send, templates={"-3d": "receipt", "-1d": "last"})
    dated(world, DUE, send=send)
    change(world, "c0001", attributes={"due": "2026-11-25"})
    run(world)
    assert states(world)["c0001"] == ("skipped", "match", "date")
    assert states(world)["c0002"][0] == "sent"


def test_an_edited_rule_lets_what_was_planned_under_the_old_one_go(world: World) -> None:
    """Only the customer's date can have changed here; what marketing changes concerns the next day."""
    dated(world, replace(DUE, offsets=(Duration(-9, DurationUnit.DAY),)), version="v2")
    run(world)
    assert {state for state, _, _ in states(world).values()} == {"sent"}
