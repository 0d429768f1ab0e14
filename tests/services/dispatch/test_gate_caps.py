"""Caps and arbitration at the gate: reserved by the message's own row, in the transaction that lets it go (C32)."""

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from caps_world import DAILY, SMS_DAY, capped, found, put, row, run, shop, told, world_release
from dispatch_world import EMAIL, NOW, World, add_customers, names
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.ids import new_id
from outbound.domain.message import Lane
from outbound.domain.policy import CalendarPeriod, Cap, Losers
from outbound.services.dispatch.gate import GateTransaction, Wording
from outbound.services.dispatch.kit import Slice
from outbound.storage import outbox_claims, tables
from outbound.storage.database import Database, database_now
from outbound.testing.checker import check_caps

MIDNIGHT = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
"""The next day begins in Rome."""
C1 = "c0001"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    add_customers(database, names(4))
    return shop(database, tmp_path, DAILY)


def execute(world: World, statement: sa.Executable) -> None:
    with world.database.write() as connection:
        connection.execute(statement)


def test_of_two_messages_in_one_chunk_one_goes_and_the_other_waits_for_tomorrow(world: World) -> None:
    """C32. The day is the customer's; the reason is on the row; the next day the second one leaves."""
    put(world.database, row("news", C1), row("gift", C1), row("news", "c0002"))
    run(world)
    rows = found(world.database)
    assert rows["gift", C1].state == rows["news", "c0002"].state == "sent"
    held = rows["news", C1]
    assert (held.state, held.reason, held.detail, held.held_by) == (
        "scheduled",
        "cap",
        "marketing.day",
        "cap.marketing.day",
    )
    assert held.not_before == MIDNIGHT
    run(world, now=MIDNIGHT - timedelta(seconds=1))
    assert found(world.database)["news", C1].state == "scheduled"
    run(world, now=MIDNIGHT)
    assert found(world.database)["news", C1].state == "sent"


def test_a_message_that_expires_before_its_cap_opens_says_so(world: World) -> None:
    put(world.database, row("gift", C1), row("news", C1, expires=MIDNIGHT))
    run(world)
    assert told(world.database)["news", C1] == "expired expired cap.marketing.day"


def test_what_a_class_counts_and_what_it_does_not(world: World) -> None:
    """Transactional counts and is never stopped: here it uses up the day of a channel, and still leaves."""
    world.active = world_release(Cap(name="email.day", max=1, per=CalendarPeriod.DAY, channel=EMAIL))
    put(world.database, row("receipt", C1), row("receipt", C1, once="2"), row("news", C1))
    run(world, lane=Lane.EXPRESS)
    run(world)
    states = [m.state for m in rows_of(world, "receipt")]
    assert states == ["sent", "sent"]
    assert told(world.database)["news", C1] == "scheduled cap email.day"


def rows_of(world: World, rule: str) -> list[Any]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(tables.message).where(tables.message.c.rule == rule)))


def test_a_capped_channel_leaves_the_message_to_the_next_one(world: World) -> None:
    world.active = world_release(SMS_DAY)
    put(world.database, row("gift", C1, channels="sms,email"), row("offer", C1, channels="sms,email"))
    run(world)
    run(world, now=NOW + timedelta(minutes=2))
    with world.database.read() as connection:
        query = sa.select(tables.message.c.rule, tables.leg.c.channel).join(
            tables.leg, tables.leg.c.message_id == tables.message.c.id
        )
        rows = connection.execute(query).all()
        assert {row.rule: row.channel for row in rows} == {"gift": "sms", "offer": "email"}


def test_a_rolling_cap_opens_when_the_oldest_of_the_newest_drops_out(world: World) -> None:
    two = Cap(name="marketing.48h", max=2, per=Duration(48, DurationUnit.HOUR), message_class="marketing")
    world.active = world_release(two)
    for number, rule in enumerate(("gift", "offer", "news")):
        put(world.database, row(rule, C1, expires=NOW + timedelta(days=9)))
        run(world, now=NOW + timedelta(hours=10 * number))
    rows = found(world.database)
    assert (rows["gift", C1].state, rows["offer", C1].state) == ("sent", "sent")
    assert rows["news", C1].detail == "marketing.48h"
    late = rows["news", C1].not_before - NOW - timedelta(hours=48)
    assert timedelta(0) <= late < timedelta(minutes=1)  # a slow machine sends a few seconds after NOW


def test_a_deferred_message_gives_its_place_back_and_takes_it_anew(world: World) -> None:
    """What a provider deferred did not arrive: it is no contact while it waits, and no exception when it comes back."""
    (tried,) = put(world.database, row("news", C1))
    run(world)
    change = tables.message.update().where(tables.message.c.id == tried)
    execute(world, change.values(state="ready", not_before=NOW + timedelta(minutes=5), sent_at=None))
    put(world.database, row("gift", C1, not_before=NOW + timedelta(minutes=1)))
    run(world, now=NOW + timedelta(minutes=1))
    assert found(world.database)["gift", C1].state == "sent"
    run(world, now=NOW + timedelta(minutes=5))
    assert told(world.database)["news", C1] == "scheduled cap marketing.day"


def test_a_bounced_leg_is_no_contact_and_the_message_is_not_its_own_rival(world: World) -> None:
    """The next leg after a bounce passes a cap of one on the same day."""
    (bounced,) = put(world.database, row("gift", C1, leg=2))
    legs = [
        {"message_id": bounced, "n": 1, "channel": "email", "moved_on": "bounced", "account": "mailbox"},
        {"message_id": bounced, "n": 2, "channel": "sms", "moved_on": "", "account": ""},
    ]
    shared = {"customer_id": C1, "address": "a", "provider_ref": "", "cost": 0, "at": NOW}
    execute(world, tables.leg.insert().values([{**one, **shared} for one in legs]))
    execute(world, tables.message.update().values(lease_token=1))
    run(world)
    assert found(world.database)["gift", C1].state == "sent"


@pytest.mark.parametrize("state", ["sending", "uncertain", "closed_unknown"])
def test_what_may_have_arrived_counts(world: World, state: str) -> None:
    put(world.database, row("gift", C1))
    run(world)
    execute(world, tables.message.update().values(state=state))
    put(world.database, row("news", C1))
    run(world)
    assert told(world.database)["news", C1] == "scheduled cap marketing.day"


@pytest.mark.parametrize("state", ["failed", "skipped", "expired", "cancelled"])
def test_what_did_not_arrive_does_not_count(world: World, state: str) -> None:
    put(world.database, row("gift", C1))
    run(world)
    execute(world, tables.message.update().values(state=state))
    put(world.database, row("news", C1))
    run(world)
    assert found(world.database)["news", C1].state == "sent"


# arbitration


def test_a_message_waits_for_a_more_important_one_that_is_due_soon(world: World) -> None:
    """Higher priority first, although it is due ten minutes later; after it the day is used up."""
    soon = NOW + timedelta(minutes=10)
    put(world.database, row("news", C1), row("gift", C1, not_before=soon, state="scheduled"))
    run(world)
    held = found(world.database)["news", C1]
    assert (held.state, held.reason, held.detail, held.not_before) == ("scheduled", "conflict", "gift", soon)
    run(world, now=soon)
    assert found(world.database)["gift", C1].state == "sent"
    held = found(world.database)["news", C1]
    assert (held.reason, held.held_by) == ("cap", "conflict.gift")


def test_nobody_waits_for_what_is_due_after_the_window(world: World) -> None:
    put(world.database, row("news", C1), row("gift", C1, not_before=NOW + timedelta(minutes=16), state="scheduled"))
    run(world)
    assert found(world.database)["news", C1].state == "sent"


def test_losers_are_dropped_where_the_policy_says_so(world: World) -> None:
    world.active = world_release(losers=Losers.DROP)
    put(world.database, row("news", C1), row("gift", C1, not_before=NOW + timedelta(minutes=5), state="scheduled"))
    run(world)
    assert told(world.database)["news", C1] == "skipped conflict gift"


@pytest.mark.parametrize(
    "why",
    [
        "paused",
        "limited",
        "withdrawn",
        "no consent",
        "no address",
        "its cap",
        "expired",
        "other lane's class",
        "no account",
    ],
)
def test_a_message_that_cannot_go_holds_up_no_other(world: World, why: str) -> None:
    """The one behind it leaves at once."""
    put(world.database, row("news", C1), row("gift", C1, not_before=NOW + timedelta(minutes=1), state="scheduled"))
    gift = tables.message.update().where(tables.message.c.rule == "gift")
    match why:
        case "paused":
            execute(world, tables.installation.insert().values(name="paused:rule:gift", value="wrong price"))
        case "limited":
            limited = {"id": "run-gift", "rule": "gift", "slot": "k", "release": "r", "rule_version": "v"}
            execute(world, tables.run.insert().values(**limited, trigger="script", started_at=NOW, limited="cost"))
        case "withdrawn":
            rules = capped(DAILY)
            del rules.rules["gift"]  # type: ignore[attr-defined]
            world.active = type(world.active)(id="r1", ruleset=rules, templates=world.active.templates)
        case "no consent":
            block = {"channel": "email", "scope": "marketing", "reason": "complaint", "at": NOW}
            execute(world, gift.values(channels="sms"))
            sms = sa.select(tables.address.c.hash).where(
                tables.address.c.customer_id == C1, tables.address.c.channel == "sms"
            )
            execute(
                world, tables.suppression.insert().values(**{**block, "channel": "sms"}, hash=sms.scalar_subquery())
            )
        case "no address":
            execute(world, gift.values(channels="push"))
        case "its cap":
            world.active = world_release(DAILY, Cap(name="gift.day", max=0, per=CalendarPeriod.DAY, topic="gift"))
        case "expired":
            execute(world, gift.values(expires=NOW))
        case "other lane's class":
            execute(world, gift.values(message_class="transactional"))
        case "no account":
            world.adapters = {EMAIL: world.adapters[EMAIL]}
            execute(world, gift.values(channels="sms"))
    run(world)
    assert found(world.database)["news", C1].state == "sent"


@pytest.mark.parametrize("why", ["a cap", "no caps", "another class", "another channel"])
def test_nothing_is_read_where_no_cap_can_stop_a_message(world: World, why: str) -> None:
    """The gate of a plain shop asks the database nothing more than it did without caps."""
    rule = "receipt" if why == "another class" else "news"
    caps = {"a cap": (DAILY,), "no caps": (), "another class": (DAILY,), "another channel": (SMS_DAY,)}[why]
    world.active = world_release(*caps)
    put(world.database, row(rule, C1))
    asked: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    sa.event.listen(world.database.engine, "before_cursor_execute", note)
    run(world, lane=Lane.EXPRESS if rule == "receipt" else Lane.BULK)
    sa.event.remove(world.database.engine, "before_cursor_execute", note)
    assert found(world.database)[rule, C1].state == "sent"
    assert any("FROM leg" in one for one in asked) is (why == "a cap")


# two workers


def gate_once(world: World, message_id: str, *, opened: threading.Barrier) -> None:
    """Claim one message and put it through its gate, in this thread and on a connection of its own."""
    dispatcher = world.dispatcher()
    kit = dispatcher._kit
    with world.database.write() as connection:
        claimed = outbox_claims.claim(
            connection,
            Lane.BULK,
            limit=1,
            worker=message_id,
            lease_until=database_now(connection) + timedelta(minutes=5),
            now=NOW,
        )
    slice_ = Slice(lane=Lane.BULK, now=NOW, chunk=1)
    gate = GateTransaction(slice_, kit, Wording(world.active, {world.active.id: world.active}), claimed)
    opened.wait(30)
    with world.database.write() as connection:
        gate(connection)


def test_two_workers_cannot_both_pass(world: World) -> None:
    """C32: two gate transactions of one customer at once, each with one of two equal messages: exactly one goes.

    Each worker judges what it sees; what keeps the second from seeing an empty day is that the first has locked
    the customer (PostgreSQL) or writes alone (SQLite). Equal rank, and no arbitration window, so that only the
    cap stands between them.
    """
    for day in range(6):
        customer = names(4)[day % 4]
        with world.database.write() as connection:
            connection.execute(tables.message.delete())
            connection.execute(tables.leg.delete())
            connection.execute(tables.attempt.delete())
        ids = put(world.database, row("news", customer, once="a"), row("news", customer, once="b"))
        # both have had their turn in arbitration: a leg each that came to nothing
        shared = {"customer_id": customer, "channel": "email", "address": "a", "account": "", "provider_ref": ""}
        legs = [{"message_id": i, "n": 1, "moved_on": "", "cost": 0, "at": NOW, **shared} for i in ids]
        with world.database.write() as connection:
            connection.execute(tables.leg.insert(), legs)
            connection.execute(tables.message.update().values(lease_token=1))
        barrier = threading.Barrier(2)
        with ThreadPoolExecutor(2) as threads:
            for one in [threads.submit(gate_once, world, i, opened=barrier) for i in ids]:
                one.result(60)
        with world.database.read() as connection:
            rows = connection.execute(
                sa.select(tables.message.c.state, tables.message.c.reason, tables.message.c.detail)
            )
            assert sorted(map(tuple, rows)) == [("scheduled", "cap", "marketing.day"), ("sending", "", "")]


# the same winners, however the messages are claimed


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_same_messages_win_whatever_the_order_and_the_chunks(world: World, seed: int) -> None:
    """Eleven messages to three people, a cap of two a day: inserted, claimed and chunked in any order."""
    two = Cap(name="marketing.day", max=2, per=CalendarPeriod.DAY, message_class="marketing")
    world.active = world_release(two)
    fixed = random.Random(1)  # noqa: S311 - a story, not a secret
    story = [
        row(rule, customer, once=f"{number}", not_before=NOW - timedelta(minutes=fixed.randrange(4)))
        for customer in names(3)
        for number, rule in enumerate(fixed.choices(("gift", "offer", "news"), k=4))
    ]
    dice = random.Random(seed)  # noqa: S311 - likewise
    with world.database.write() as connection:
        for table in (tables.message, tables.leg, tables.attempt):
            connection.execute(table.delete())
    dice.shuffle(story)
    stamped = [{**one, "local_time": one["not_before"].isoformat(), "zone": "UTC"} for one in story]
    put(world.database, *({**one, "id": new_id(NOW)} for one in stamped))
    with world.database.write() as connection:
        # claims go by the row's priority and time: set at random, they no longer follow the ranks of today's policy
        for one in stamped:
            key = (tables.message.c.rule == one["rule"], tables.message.c.once == one["once"])
            who = tables.message.c.customer_id == one["customer_id"]
            connection.execute(tables.message.update().where(*key, who).values(priority=dice.randrange(999)))
    for minute in range(8):
        size = dice.choice((1, 2, 5))
        run(
            world,
            now=NOW + timedelta(minutes=minute),
            slices=12,
            slice_size=size,
            chunk=dice.choice((1, 3)),
            gate_age=60,
        )
    sent = defaultdict(list)
    with world.database.read() as connection:
        for one in connection.execute(sa.select(tables.message)):
            if one.state == "sent":
                sent[one.customer_id].append((one.rule, one.once))
            else:
                assert (one.state, one.reason, one.detail) == ("scheduled", "cap", "marketing.day")
    ranks = {"gift": -300, "offer": -200, "news": -100}
    for customer in names(3):
        best = sorted(
            (ranks[one["rule"]], one["not_before"], one["rule"], one["once"])
            for one in story
            if one["customer_id"] == customer
        )
        # of equals in everything else the message id decides, which is the order of insertion
        assert sorted(ranks[rule] for rule, _ in sent[customer]) == [rank for rank, *_ in best[:2]]
        assert len(sent[customer]) == 2


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_day_and_no_window_is_ever_overrun(world: World, seed: int) -> None:
    """Weeks of random messages through the real gate, across the end of summer time: recounted by definition."""
    rolling = Cap(name="marketing.50h", max=3, per=Duration(50, DurationUnit.HOUR), message_class="marketing")
    two = Cap(name="marketing.day", max=2, per=CalendarPeriod.DAY, message_class="marketing")
    world.active = world_release(two, rolling, SMS_DAY)
    zones = {"c0001": "Europe/Rome", "c0002": "America/New_York", "c0003": "Pacific/Apia"}
    dice = random.Random(seed)  # noqa: S311 - a story, not a secret
    with world.database.write() as connection:
        for table in (tables.message, tables.leg, tables.attempt):
            connection.execute(table.delete())
        for customer, zone in zones.items():
            chosen = tables.customer.update().where(tables.customer.c.id == customer)
            connection.execute(chosen.values(timezone=zone, zone_source=f"tz:{zone}"))
    now = datetime(2026, 10, 23, tzinfo=UTC)
    for number in range(12):
        now += timedelta(hours=dice.choice((1, 5, 11, 23)))
        rows = [
            row(rule, customer, once=f"{number}", not_before=now, created_at=now, expires=now + timedelta(days=6))
            for customer in zones
            for rule in dice.sample(("gift", "offer", "news"), k=2)
        ]
        put(world.database, *rows)
        run(world, now=now, slices=2)
    with world.database.read() as connection:
        assert check_caps(connection, world.active.ruleset.policy) == []
        sent = connection.execute(sa.select(sa.func.count()).where(tables.message.c.state == "sent")).scalar_one()
    assert sent >= 6  # two for each on the first day at least
