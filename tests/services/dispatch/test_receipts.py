"""``next_on: no_receipt``: what no provider reports as delivered in time goes on to the next channel."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from caps_world import DAILY, SMS_DAY, capped, found, put, row, run, shop, told
from dispatch_world import EMAIL, NOW, SMS, World, add_customers, names, release

from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.errors import OutboundError
from outbound.services import receipts
from outbound.storage import tables
from outbound.storage.database import Database

QUARTER = timedelta(minutes=15)
LATER = NOW + QUARTER + timedelta(minutes=1)
"""A slow machine sends a few seconds after NOW."""
C1 = "c0001"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Texts first, then mail; a text waits a quarter of an hour for its receipt. One marketing message a day."""
    add_customers(database, names(2))
    world = shop(database, tmp_path)
    rules = capped(DAILY, SMS_DAY)
    policy = replace(rules.policy, next_on=("no_receipt",), no_receipt=QUARTER)
    world.active = release(rules=replace(rules, policy=policy))
    return world


def text(customer: str = C1, **more: Any) -> dict[str, Any]:
    return row("gift", customer, **{"channels": "sms,email", **more})


def sweep(world: World, *, now: datetime = LATER) -> int:
    return receipts.move_on(world.database, world.active.ruleset.policy, {SMS}, now=now)


def legs(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        query = sa.select(tables.leg.c.channel, tables.leg.c.moved_on).order_by(tables.leg.c.message_id, tables.leg.c.n)
        return [(channel, moved_on) for channel, moved_on in connection.execute(query)]


def reference(database: Database) -> str:
    with database.read() as connection:
        found: str = connection.execute(sa.select(tables.leg.c.provider_ref)).scalar_one()
        return found


def test_without_a_receipt_in_time_the_next_channel_takes_over(world: World) -> None:
    """The message is not stopped by its own first leg, though the day allows one."""
    put(world.database, text())
    run(world)
    assert sweep(world, now=NOW + QUARTER - timedelta(seconds=1)) == 0
    assert sweep(world) == 1
    assert sweep(world) == 0
    assert found(world.database)["gift", C1].state == "ready"
    run(world, now=LATER)
    message = found(world.database)["gift", C1]
    assert (message.state, message.leg) == ("sent", 2)
    assert legs(world.database) == [("sms", "no_receipt"), ("email", "")]
    assert sweep(world, now=NOW + 3 * QUARTER) == 0  # mail reports nothing, and there is no third channel


def test_the_text_that_nobody_confirmed_stays_a_contact(world: World) -> None:
    """Also while its message waits for the next channel: who may have had one today gets no second one."""
    put(world.database, text())
    run(world)
    sweep(world)
    put(world.database, row("news", C1))
    # the gift waits beyond the window, so that only the cap can hold the news
    with world.database.write() as connection:
        later = tables.message.update().where(tables.message.c.rule == "gift")
        connection.execute(later.values(not_before=NOW + timedelta(hours=2)))
    run(world, now=LATER)
    assert told(world.database)["news", C1] == "scheduled cap marketing.day"


def test_a_receipt_in_time_ends_the_waiting(world: World) -> None:
    """Saying it twice says nothing new, and the first time stands."""
    put(world.database, text())
    run(world)
    known = reference(world.database)
    assert receipts.note(world.database, known, at=NOW + timedelta(minutes=1)).new
    assert not receipts.note(world.database, known, at=NOW + timedelta(minutes=9)).new
    assert sweep(world, now=NOW + 2 * QUARTER) == 0
    with world.database.read() as connection:
        assert connection.execute(sa.select(tables.leg.c.receipt_at)).scalar_one() == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("unknown", ["SM404", ""])
def test_a_receipt_for_nothing_is_an_error(world: World, unknown: str) -> None:
    """An empty reference is that of every leg that was not accepted: it must match none."""
    put(world.database, text(state="ready"))
    with pytest.raises(OutboundError, match="no message has the provider's reference"):
        receipts.note(world.database, unknown, at=NOW)


@pytest.mark.parametrize("why", ["expired", "last channel", "no address", "uncertain", "policy is silent"])
def test_what_stays_where_it_is(world: World, why: str) -> None:
    put(
        world.database,
        text(**{"expired": {"expires": NOW + QUARTER}, "last channel": {"channels": "sms"}}.get(why, {})),
    )
    run(world)
    match why:
        case "no address":
            gone = tables.address.delete().where(tables.address.c.channel == "email")
            with world.database.write() as connection:
                connection.execute(gone)
        case "uncertain":
            with world.database.write() as connection:
                connection.execute(tables.message.update().values(state="uncertain"))
        case "policy is silent":
            policy = replace(world.active.ruleset.policy, no_receipt=None)
            world.active = release(rules=replace(world.active.ruleset, policy=policy))
    assert sweep(world) == 0
    assert found(world.database)["gift", C1].state == ("uncertain" if why == "uncertain" else "sent")
    assert legs(world.database) == [("sms", "")]


def test_a_late_receipt_is_kept_and_calls_nothing_back(world: World) -> None:
    put(world.database, text())
    run(world)
    sweep(world)
    assert receipts.note(world.database, first_reference(world.database), at=NOW + timedelta(hours=1)).new
    run(world, now=LATER)
    assert found(world.database)["gift", C1].leg == 2


def first_reference(database: Database) -> str:
    with database.read() as connection:
        known: str = connection.execute(sa.select(tables.leg.c.provider_ref).where(tables.leg.c.n == 1)).scalar_one()
        return known


def test_a_channel_that_reports_is_waited_for_even_where_it_is_mail(world: World) -> None:
    """A mailbox that stands in for a reporting provider; nobody waits for a channel that reports nothing."""
    put(world.database, row("gift", C1, channels="email,sms"))
    run(world)
    policy = world.active.ruleset.policy
    assert sweep(world) == 0
    assert receipts.move_on(world.database, policy, (), now=LATER) == 0
    assert receipts.move_on(world.database, policy, {EMAIL}, now=LATER) == 1
    assert legs(world.database) == [("email", "no_receipt"), ("sms", "")]


def test_two_sweeps_at_once_open_one_leg(world: World) -> None:
    """Two daemons sweep the same messages: the second finds them moved."""
    policy = replace(world.active.ruleset.policy, caps=())
    world.active = release(rules=replace(world.active.ruleset, policy=policy))
    put(world.database, *(text(once=f"{number}") for number in range(20)))
    run(world)
    barrier = threading.Barrier(2)

    def work() -> int:
        barrier.wait(30)
        return receipts.move_on(world.database, policy, {SMS}, now=NOW + timedelta(hours=2))

    with ThreadPoolExecutor(2) as threads:
        moved = sum(one.result(60) for one in [threads.submit(work), threads.submit(work)])
    assert moved == 20
    assert {(one.state, one.leg) for one in rows(world.database)} == {("ready", 2)}


def rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(tables.message)))


@pytest.mark.parametrize("callback", ["", "https://shop.example/hooks/twilio"])
def test_twilio_reports_only_to_a_callback(callback: str) -> None:
    account = TwilioSettings(account_sid="AC0", auth_token="t", from_number="+15005550006", status_callback=callback)
    assert TwilioAdapter(account).capabilities.receipts is bool(callback)
