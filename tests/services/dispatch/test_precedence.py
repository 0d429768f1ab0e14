"""Express before bulk inside one worker: in the line of those who write, and at the next step of a bulk run."""

import asyncio
import threading
import time

import pytest

from outbound.domain.message import Lane
from outbound.services.dispatch import precedence
from outbound.services.dispatch.line import Line
from outbound.services.dispatch.precedence import Precedence


def test_what_is_urgent_is_written_first_and_the_rest_in_the_order_it_came() -> None:
    done: list[str] = []
    go = threading.Event()

    async def story() -> None:
        line = Line(1, name="test")
        first = asyncio.create_task(line.run(go.wait, urgent=False))
        await asyncio.sleep(0)
        works = (("bulk 1", False), ("bulk 2", False), ("express 1", True), ("express 2", True))
        tasks = [asyncio.create_task(line.run(lambda n=n: done.append(n), urgent=u)) for n, u in works]  # type: ignore[misc]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, *tasks)
        line.close()

    asyncio.run(story())
    assert done == ["express 1", "express 2", "bulk 1", "bulk 2"]


def test_what_fails_in_the_line_is_raised_where_it_is_waited_for() -> None:
    async def story() -> None:
        line = Line(1, name="test")
        with pytest.raises(ZeroDivisionError):
            await line.run(lambda: 1 / 0, urgent=True)
        assert await line.run(lambda: 2, urgent=True) == 2
        line.close()

    asyncio.run(story())


def test_a_bulk_run_gives_way_until_the_express_messages_have_left() -> None:
    async def story() -> list[str]:
        order: list[str] = []
        way = Precedence()
        way.claim()

        async def bulk() -> None:
            await way.give_way(Lane.BULK)
            order.append("bulk")

        task = asyncio.create_task(bulk())
        await way.give_way(Lane.EXPRESS)
        await asyncio.sleep(0)
        order.append("express")
        way.end()
        await task
        return order

    assert asyncio.run(story()) == ["express", "bulk"]


def test_a_bulk_run_does_not_wait_long_for_an_express_message_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precedence, "_LONGEST", 0.02)

    async def story() -> float:
        way = Precedence()
        way.claim()
        began = time.monotonic()
        await way.give_way(Lane.BULK)
        return time.monotonic() - began

    assert 0.015 < asyncio.run(story()) < 5


def test_after_a_stretch_of_express_the_bulk_lane_has_as_long_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much express work comes in, half of the time is the bulk lane's."""
    clock = iter([10.0, 10.2, 10.3, 10.4])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    way = Precedence()
    way.claim()  # at 10.0
    way.end()  # at 10.2: until 10.4
    way.claim()  # at 10.3
    assert not way._until
    way.claim()  # at 10.4
    assert way._until
