"""Telling other systems: queued with what happened, posted at least once under one id, never flooding who fails."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from outbound.domain.alert import AlertLevels
from outbound.domain.consent import ConsentEvent, ConsentState, Evidence
from outbound.domain.customer import ChannelName, Event
from outbound.domain.errors import OutboundError
from outbound.domain.hook import Post, PostState, named_events
from outbound.services import alerts, hooks
from outbound.services.hooks.posting import WAITS
from outbound.storage import consents, events, hook_posts
from outbound.storage.database import Database

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True)
class Said:
    status: int | None
    retry_after: float | None = None
    text: str = "said"

    @property
    def taken(self) -> bool:
        return self.status == 204


@dataclass
class System:
    """Another system: what it was posted, and what it answers next."""

    answer: Said = Said(204)
    posts: list[Post] = field(default_factory=list)

    async def post(self, post: Post, *, now: datetime) -> Said:  # noqa: ARG002 - the protocol has it
        self.posts.append(post)
        return self.answer

    async def close(self) -> None:
        return


async def at_once(work: Callable[[], list[Post]]) -> list[Post]:
    return work()


@dataclass
class World:
    database: Database
    system: System

    def post(self, now: datetime) -> int:
        courier = hooks.Courier(self.database, self.system, ["erp"], dice=lambda: 0.0)
        return asyncio.run(courier.once(lambda: now, at_once))

    def happens(self, *ids: str, now: datetime = NOW) -> None:
        some = [event("message.delivered", one, now) for one in ids]
        with self.database.write() as connection:
            events.append(connection, some, now=now)

    def listed(self) -> list[Post]:
        with self.database.read() as connection:
            return hook_posts.listed(connection)


def event(name: str, identity: str, now: datetime = NOW, **data: str) -> Event:
    return Event(id=f"{name}/{identity}", name=name, customer_id="ada", data=data, at=now, received_at=now)


@pytest.fixture
def world(database: Database) -> World:
    hooks.declare(database, {"erp": named_events(["message.*", "request.*", "consent.changed"])[0]})
    return World(database, System())


def test_what_happens_is_queued_in_the_same_transaction_once_and_without_what_is_personal(world: World) -> None:
    export = event("request.export", "r", link="https://shop.example/d/secret", channel="email")
    told = event("message.replied", "m.1", message="m", topic="news")
    with world.database.write() as connection:
        events.append(connection, [told, export, event("order.placed", "7"), event("interaction.noted", "n")], now=NOW)
        events.append(connection, [told], now=NOW)
        events.append(connection, [event("message.sent", "old")], now=NOW, fire=False)
        said = ConsentEvent(
            id="c1",
            customer_id="ada",
            topic="news",
            channel=ChannelName.EMAIL,
            state=ConsentState.WITHDRAWN,
            at=NOW,
            recorded_at=NOW,
            evidence=Evidence(source="telephone of Mia", wording="no more"),
            address="ada@example.org",
        )
        assert consents.record(connection, said)
    with pytest.raises(ZeroDivisionError), world.database.write() as connection:
        events.append(connection, [event("message.bounced", "m.1")], now=NOW)
        _ = 1 / 0
    assert {(one.event, one.customer_id): dict(one.data) for one in world.listed()} == {
        ("message.replied", "ada"): {"message": "m", "topic": "news"},
        ("request.export", "ada"): {"channel": "email"},
        ("consent.changed", "ada"): {"topic": "news", "channel": "email", "state": "withdrawn"},
    }


def test_it_is_posted_once_where_it_is_taken_and_replayed_under_the_same_id(world: World) -> None:
    world.happens("a", "b")
    assert world.post(NOW) == 2
    assert world.post(NOW + DAY) == 0
    assert {one.state for one in world.listed()} == {PostState.DONE}
    first = world.system.posts[0].id
    assert hooks.again(world.database, "erp", ids=[first], by="op", now=NOW + DAY) == 1
    assert world.post(NOW + DAY) == 1
    assert world.system.posts[-1].id == first
    assert hooks.again(world.database, "erp", since=NOW, by="op", now=NOW + DAY) == 2
    with pytest.raises(OutboundError, match=r"webhook\.unknown"):
        hooks.again(world.database, "crm", since=NOW, by="op", now=NOW)


def test_what_is_refused_comes_again_later_and_later_with_its_id_and_is_given_up(world: World) -> None:
    world.happens("a")
    world.system.answer = Said(500)
    now, waits = NOW, []
    while world.post(now):
        (one,) = world.listed()
        waits.append(one.due_at - now)
        now = one.due_at
    assert tuple(waits[:-1]) == WAITS
    assert {one.id for one in world.system.posts} == {world.listed()[0].id}
    (one,) = world.listed()
    assert (one.state, one.tries, one.status, one.answer) == (PostState.FAILED, len(WAITS) + 1, 500, "said")
    assert hooks.again(world.database, "erp", state=PostState.FAILED, by="op", now=now) == 1
    world.system.answer = Said(204)
    assert world.post(now) == 1
    assert hooks.statuses(world.database)[0].state == "works"


def test_waits_are_scattered_and_never_shorter_than_the_other_side_asks() -> None:
    assert hooks.next_try(0, None, now=NOW, dice=0.5) == NOW + timedelta(seconds=5.5)
    assert hooks.next_try(0, 120.0, now=NOW, dice=0.5) == NOW + timedelta(seconds=120)
    assert hooks.next_try(len(WAITS), 120.0, now=NOW, dice=0.5) is None


def test_who_fails_is_probed_by_one_at_a_time_and_flooded_by_nobody(world: World) -> None:
    world.happens(*map(str, range(40)))
    world.system.answer = Said(None)
    assert world.post(NOW) == 16
    assert world.post(NOW + timedelta(seconds=1)) == 1
    world.system.answer = Said(204)
    assert world.post(NOW + timedelta(seconds=2)) == 1
    assert world.post(NOW + timedelta(seconds=3)) == 16


def test_five_days_without_a_success_or_a_410_switch_it_off_and_an_operator_is_told(world: World) -> None:
    world.happens("a")
    world.system.answer = Said(500)
    assert world.post(NOW) == 1
    with world.database.read() as connection:
        assert alerts.conditions(connection, AlertLevels(), now=NOW + 59 * MINUTE) == []
        (failing,) = alerts.conditions(connection, AlertLevels(), now=NOW + 61 * MINUTE)
    assert "has taken nothing since 2026-11-30 12:00 UTC" in failing.text
    world.happens("b", now=NOW + 4 * DAY)
    for after in (4 * DAY, 5 * DAY):
        world.post(NOW + after)
    with world.database.read() as connection:
        (off,) = alerts.conditions(connection, AlertLevels(), now=NOW + 5 * DAY)
    assert (off.kind, off.subject, off.remedy) == ("webhook", "erp", "`outbound webhook enable erp`")
    world.happens("c", now=NOW + 6 * DAY)
    assert world.post(NOW + 6 * DAY) == 0, "what happens waits"
    assert hooks.switch_on(world.database, "erp", by="op", now=NOW + 6 * DAY) == 3
    world.system.answer = Said(410)
    assert world.post(NOW + 6 * DAY) == 3
    assert hooks.statuses(world.database)[0].why == "answered 410: it is gone"


def test_what_a_dead_daemon_had_claimed_is_posted_a_minute_later_under_the_same_id(world: World) -> None:
    world.happens("a")
    with world.database.write() as connection:
        (claimed,) = hook_posts.claim(connection, {"erp": 16}, until=NOW + MINUTE, now=NOW)
    assert world.post(NOW + timedelta(seconds=59)) == 0
    assert world.post(NOW + MINUTE) == 1
    assert world.system.posts[0].id == claimed.id


def test_a_hook_that_is_declared_no_more_is_told_no_more(world: World) -> None:
    world.happens("a")
    hooks.declare(world.database, {"crm": frozenset({"message.sent"})})
    world.happens("b")
    assert world.listed() == []
    assert [one.name for one in hooks.statuses(world.database)] == ["crm"]
