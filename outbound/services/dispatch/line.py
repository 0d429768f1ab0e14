"""Work for the threads that write: what is urgent first, the rest in the order it came."""

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import PriorityQueue
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(order=True, slots=True)
class _Place:
    later: bool
    number: int
    work: Callable[[], Any] = field(compare=False)
    answer: "Future[Any]" = field(compare=False)


class Line:
    """``threads`` of them take the next piece of work, whoever put it there."""

    def __init__(self, threads: int, *, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: PriorityQueue[_Place] = PriorityQueue()
        self._numbers = itertools.count()

    async def run(self, work: Callable[[], T], *, urgent: bool) -> T:
        """Run ``work`` in a thread; what it answers or raises. Who is cancelled while it waits takes it along."""
        answer: Future[T] = Future()
        self._waiting.put(_Place(not urgent, next(self._numbers), work, answer))
        self._threads.submit(self._next)
        return await asyncio.wrap_future(answer)

    def close(self) -> None:
        """Finish what waits, then stop."""
        self._threads.shutdown(wait=True)

    def _next(self) -> None:
        place = self._waiting.get_nowait()
        if not place.answer.set_running_or_notify_cancel():
            return
        try:
            answer = place.work()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            place.answer.set_exception(error)
        else:
            place.answer.set_result(answer)
