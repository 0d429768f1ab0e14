"""News for other systems, as a daemon posts it: one that answers late keeps nobody else waiting."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from outbound.domain.customer import Event
from outbound.domain.hook import Post, named_events
from outbound.runtime.failures import Failures
from outbound.runtime.posting import post_news
from outbound.services import hooks
from outbound.storage import events, hook_posts
from outbound.storage.database import Database

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


@dataclass
class Answer:
    status: int | None = 204
    text: str = ""
    retry_after: float | None = None
    taken: bool = True


@dataclass
class Systems:
    """``erp`` answers at once, ``slow`` only when ``erp`` has all."""

    database: Database
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0

    async def post(self, post: Post, *, now: datetime) -> Answer:  # noqa: ARG002 - the protocol has it
        if post.hook == "slow":
            await self.stopping.wait()
        elif post.event == "message.delivered":  # something else happens meanwhile
            happens(self.database, "message.replied")
        else:
            self.stopping.set()
        return Answer()

    async def close(self) -> None:
        self.closed += 1


def happens(database: Database, name: str) -> None:
    told = Event(id=f"{name}/m.1", name=name, customer_id="ada", data={"message": "m"}, at=NOW, received_at=NOW)
    with database.write() as connection:
        events.append(connection, [told], now=NOW)


async def in_thread(work: Callable[[], Any]) -> Any:
    return work()


def test_a_system_that_answers_late_holds_up_no_other(database: Database) -> None:
    every = named_events(["message.*"])[0]
    hooks.declare(database, {"erp": every, "slow": frozenset({"message.delivered"})})
    happens(database, "message.delivered")

    async def work() -> Systems:
        systems = Systems(database)
        courier = hooks.Courier(database, systems, ["erp", "slow"])
        posting = post_news(courier, systems.stopping, in_thread=in_thread, failures=Failures())
        await asyncio.wait_for(posting, 10)
        return systems

    assert asyncio.run(work()).closed == 1
    with database.read() as connection:
        told = sorted((one.hook, one.event, one.state.value) for one in hook_posts.listed(connection))
    assert told == [
        ("erp", "message.delivered", "done"),
        ("erp", "message.replied", "done"),
        ("slow", "message.delivered", "done"),
    ]
