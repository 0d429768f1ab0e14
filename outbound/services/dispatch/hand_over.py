"""Stage 4: deliver, as many at once as each account takes, each behind a durable handover mark."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import structlog

from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Answered, Ready
from outbound.services.dispatch.points import hit

log = structlog.get_logger("outbound.dispatch")

Rendered = AsyncIterator[list[Ready | Answered]]

_AHEAD = 2
"""The next chunk passes the gate when so many rounds of deliveries are left to start."""
_QUICK, _SLOW = 0.25, 1.0
"""Seconds a chunk may take: below, the next may be larger; above, it must be smaller (promise P5)."""
_SMALLEST = 5


async def hand_over(slice_: Slice, kit: Kit, chunks: Rendered) -> AsyncIterator[list[Answered]]:
    """Yield answers as they come, several together when they do. One failing delivery never stops another."""
    run = _Deliveries(slice_, kit)
    feeder = asyncio.create_task(run.feed(chunks), name="outbound-feeder")
    try:
        while answers := await run.next_answers():
            hit("reply.done")
            yield answers
        await feeder  # raises what a stage before us raised, now that everything in flight is recorded
    finally:
        await run.cancel(feeder)


class _Deliveries:
    """The deliveries of one slice that are under way, and their answers."""

    def __init__(self, slice_: Slice, kit: Kit) -> None:
        self._slice, self._kit = slice_, kit
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: list[Answered] = []
        self._news = asyncio.Event()
        self._fed = False

    async def feed(self, chunks: Rendered) -> None:
        """Start deliveries; have the next chunk gated and rendered while the last of this one are starting."""
        try:
            upcoming = _upcoming(chunks)
            while chunk := await upcoming:
                began = time.monotonic()
                threshold = min(len(chunk), _AHEAD * self._concurrency(chunk))
                for number, one in enumerate(chunk):
                    if len(chunk) - number == threshold:
                        upcoming = _upcoming(chunks)
                    await self._start(one)
                self._adapt(time.monotonic() - began)
        finally:
            self._fed = True
            self._news.set()

    async def next_answers(self) -> list[Answered]:
        """Everything answered since the last call, waiting for the first; empty when there will be no more."""
        while not self._answers:
            if self._fed and not self._tasks:
                return []
            self._news.clear()
            await self._news.wait()
        answers, self._answers = self._answers, []
        return answers

    async def cancel(self, feeder: "asyncio.Task[None]") -> None:
        """Stop whatever is still under way; after the normal end there is nothing."""
        for task in (feeder, *self._tasks):
            task.cancel()
        await asyncio.gather(feeder, *self._tasks, return_exceptions=True)

    async def _start(self, one: Ready | Answered) -> None:
        if isinstance(one, Answered):
            self._answer(one)
            return
        gate = self._kit.slots[one.passed.begin.account]
        await gate.acquire()
        if self._kit.stopping():
            gate.release()
            return  # not begun: the end of the slice gives it back
        task = asyncio.create_task(self._deliver(one, gate))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _deliver(self, ready: Ready, slot: asyncio.Semaphore) -> None:
        try:
            outcome, paused = await self._try(ready)
        finally:
            slot.release()
        self._answer(Answered(passed=ready.passed, outcome=outcome, paused=paused))

    async def _try(self, ready: Ready) -> tuple[Outcome, bool]:
        passed = ready.passed
        breaker = self._kit.breakers[passed.begin.account]
        if breaker.open and not passed.probe:
            return Outcome(kind=OutcomeKind.NOT_SENT, text="the account is paused"), True
        handed = False

        async def handover() -> bool:
            nonlocal handed
            now = self._slice.moment()
            handed = await self._kit.writer.mark(passed.begin.attempt_id, ready.body_hash, now=now)
            if handed:
                hit("handoff.done")
            return handed

        try:
            outcome = await self._kit.adapters[passed.begin.channel].deliver(ready.parcel, handover)
        except Exception as error:  # noqa: BLE001 - adapters promise not to raise; if one does, assume the worst
            log.error("adapter failed", adapter=passed.begin.account, error=type(error).__name__)  # noqa: TRY400 - no values
            kind = OutcomeKind.UNCERTAIN if handed else OutcomeKind.NOT_SENT
            outcome = Outcome(kind=kind, text=f"adapter error {type(error).__name__}")
        if breaker.heard(outcome, self._slice.moment()):
            log.warning("account paused", adapter=passed.begin.account, code=outcome.code, enhanced=outcome.enhanced)
        return outcome, False

    def _answer(self, answered: Answered) -> None:
        self._answers.append(answered)
        self._news.set()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._news.set()

    def _concurrency(self, chunk: Sequence[Ready | Answered]) -> int:
        accounts = {one.passed.begin.channel for one in chunk}
        return sum(self._kit.adapters[channel].capabilities.concurrency for channel in accounts)

    def _adapt(self, seconds: float) -> None:
        if seconds < _QUICK:
            self._slice.chunk = min(self._slice.chunk * 2, self._kit.settings.chunk)
        elif seconds > _SLOW:
            self._slice.chunk = max(self._slice.chunk // 2, _SMALLEST)


def _upcoming(chunks: Rendered) -> "asyncio.Task[list[Ready | Answered]]":
    async def following() -> list[Ready | Answered]:
        return await anext(chunks, [])

    return asyncio.create_task(following(), name="outbound-gate")
