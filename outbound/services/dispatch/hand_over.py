"""Stage 4: deliver, as many at once as each account takes, each behind a durable handover mark."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import structlog

from outbound.domain.message import Lane
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Answered, Passed, Ready
from outbound.services.dispatch.points import hit
from outbound.services.dispatch.slots import Slots

log = structlog.get_logger("outbound.dispatch")

Rendered = AsyncIterator[list[Ready | Answered]]

_REFUSED = "no handover: the lease is lost, or somebody paused it"
_AHEAD = 2
"""The next chunk passes the gate when so many rounds of deliveries are left to start."""
_GATHER = 0.03
"""Seconds that answers of the bulk lane wait for others, to be written together."""
_QUICK, _SLOW = 0.2, 0.4
"""Of the greatest age of a gate, the time a chunk may take to start: below, the next may be larger; above, it must
be smaller (promise P5)."""


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
        self._preparing: set[asyncio.Task[list[Ready | Answered]]] = set()
        self._answers: list[Answered] = []
        self._news = asyncio.Event()
        self._fed = False

    async def feed(self, chunks: Rendered) -> None:
        """Start deliveries; have the next chunk gated and rendered while the last of this one are starting."""
        try:
            upcoming = self._prepare(_upcoming(chunks))
            while chunk := await upcoming:
                began = time.monotonic()
                left = len(chunk)
                following = None
                threshold = min(left, _AHEAD * self._concurrency(chunk))
                async for some in self._marked(chunk):
                    for one in some:
                        if left <= threshold and following is None and not self._slow(chunk):
                            following = self._prepare(_upcoming(chunks))
                        left -= 1
                        await self._start(one)
                self._adapt(len(chunk), time.monotonic() - began)
                upcoming = following or self._prepare(_upcoming(chunks))
            if self._slice.tally.claimed:
                self._slice.left()
        finally:
            self._fed = True
            self._news.set()

    async def _marked(self, chunk: list[Ready | Answered]) -> AsyncIterator[list[Ready | Answered]]:
        """The chunk in the portions that share a handover mark, the next one marked while this one starts."""
        size = min(self._kit.settings.ahead, self._slice.chunk) // 2  # one half starts while the next is marked
        if self._slice.lane is not Lane.BULK or size <= 1:
            yield chunk  # each message is marked alone, at the last moment
            return
        portions = [chunk[start : start + size] for start in range(0, len(chunk), size)]
        following = self._prepare(self._mark(portions[0]))
        for number in range(len(portions)):
            some = await following
            if number + 1 < len(portions):
                following = self._prepare(self._mark(portions[number + 1]))
            yield some

    async def _mark(self, portion: list[Ready | Answered]) -> list[Ready | Answered]:
        hashes = {one.passed.begin.attempt_id: one.body_hash for one in portion if isinstance(one, Ready)}
        if not hashes:
            return portion
        marked = await self._kit.writer.mark(hashes, now=self._slice.moment())
        hit("handoff.done")
        return [self._after_mark(one, marked) for one in portion]

    def _after_mark(self, one: Ready | Answered, marked: frozenset[str]) -> Ready | Answered:
        if isinstance(one, Answered):
            return one
        if one.passed.begin.attempt_id in marked:
            return Ready(passed=one.passed, parcel=one.parcel, body_hash=one.body_hash, marked=True, parts=one.parts)
        return _unspent(one, _REFUSED)

    async def next_answers(self) -> list[Answered]:
        """Everything answered since the last call, waiting for the first; empty when there will be no more.

        In the bulk lane the first waits a moment for others: what they share is a commit.
        """
        while not self._answers:
            if self._fed and not self._tasks:
                return []
            self._news.clear()
            await self._news.wait()
        if self._slice.lane is Lane.BULK and self._tasks and len(self._answers) < self._kit.settings.group:
            await asyncio.sleep(_GATHER)
        answers, self._answers = self._answers, []
        return answers

    async def cancel(self, feeder: "asyncio.Task[None]") -> None:
        """Stop whatever is still under way; after the normal end there is nothing."""
        under_way = (feeder, *self._tasks, *self._preparing)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _start(self, one: Ready | Answered) -> None:
        if isinstance(one, Answered):
            self._answer(one)
            return
        slots = self._kit.slots[one.passed.begin.account]
        best_before = one.passed.gated_at + self._kit.settings.gate_age
        if one.passed.turn is not None:
            await asyncio.sleep(max(one.passed.turn - time.monotonic(), 0))
        await self._kit.precedence.give_way(self._slice.lane)
        if why := await self._connection(one, slots, best_before):
            self._answer(_unspent(one, why))
            return
        if self._kit.stopping():
            slots.give()
            self._answer(_unspent(one, "the worker stopped"))
            return
        # Counted before anything else can look: tasks that have not begun yet would all find the destination free.
        task = asyncio.create_task(self._deliver(one, slots, self._begin(one.passed)))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _connection(self, ready: Ready, slots: Slots, best_before: float) -> str:
        """Take a slot, once the destination may have one more connection. Answers "", or why there is none."""
        destinations, domain = self._kit.destinations[ready.passed.begin.account], ready.passed.domain
        while not (domain and destinations.full(domain) and destinations.slow(domain)):
            if not await slots.take(within=best_before - time.monotonic()):
                return "the gate is too old"
            if not domain or not destinations.full(domain):  # one that may have every connection never is: we hold one
                return ""
            slots.give()
            if not await destinations.room(domain, within=best_before - time.monotonic()):
                break
        return "the destination is slow"

    def _begin(self, passed: Passed) -> float:
        return self._kit.destinations[passed.begin.account].begin(passed.domain)

    async def _deliver(self, ready: Ready, slots: Slots, started: float) -> None:
        passed = ready.passed
        seconds = None
        destinations = self._kit.destinations[passed.begin.account]
        try:
            hurdles = self._kit.breakers.of(passed.begin.account, passed.domain)
            if any(breaker.open and key not in passed.probes for key, breaker in hurdles):
                self._answer(_unspent(ready, "the account is paused"))
                return
            began = time.monotonic()
            outcome = await self._try(ready)
            seconds = time.monotonic() - began
        finally:
            destinations.end(passed.domain, started, answered=seconds is not None)
            # what one destination takes longer than the others says nothing about the account
            slots.give(seconds=None if destinations.slow(passed.domain) else seconds)
        if outcome is None:  # we stopped it, not the provider
            self._answer(_unspent(ready, _REFUSED))
            return
        await self._kit.breakers.hear(passed.begin.account, passed.domain, outcome, self._slice.moment())
        self._answer(Answered(passed=passed, outcome=outcome, parts=ready.parts))

    async def _try(self, ready: Ready) -> Outcome | None:
        """What came of it, None when the handover mark was refused."""
        passed = ready.passed
        handed, asked = ready.marked, False

        async def handover() -> bool:
            nonlocal handed, asked
            asked = True
            if not ready.marked:
                attempt = passed.begin.attempt_id
                marked = await self._kit.writer.mark({attempt: ready.body_hash}, now=self._slice.moment())
                handed = attempt in marked
                hit("handoff.done")
            return handed

        try:
            outcome = await self._kit.adapters[passed.begin.channel].deliver(ready.parcel, handover)
        except Exception as error:  # noqa: BLE001 - adapters promise not to raise; if one does, assume the worst
            log.error("adapter failed", adapter=passed.begin.account, error=type(error).__name__)  # noqa: TRY400 - no values
            kind = OutcomeKind.UNCERTAIN if handed else OutcomeKind.NOT_SENT
            return Outcome(kind=kind, text=f"adapter error {type(error).__name__}")
        return None if asked and not handed and outcome.kind is OutcomeKind.NOT_SENT else outcome

    def _prepare(self, work: Coroutine[Any, Any, list[Ready | Answered]]) -> "asyncio.Task[list[Ready | Answered]]":
        """Gate, render or mark the next messages while the present ones are starting."""
        task = asyncio.create_task(work, name="outbound-prepare")
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return task

    def _answer(self, answered: Answered) -> None:
        if answered.unspent or answered.stop is not None:
            for _, breaker in self._kit.breakers.of(answered.passed.begin.account, answered.passed.domain):
                breaker.untried()
        if answered.unspent and answered.passed.counted_on:
            self._kit.refunds[answered.passed.begin.account, answered.passed.counted_on] += 1
        self._answers.append(answered)
        self._news.set()

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._news.set()

    def _concurrency(self, chunk: Sequence[Ready | Answered]) -> int:
        accounts = {one.passed.begin.channel for one in chunk}
        return sum(self._kit.adapters[channel].capabilities.concurrency for channel in accounts)

    def _slow(self, chunk: Sequence[Ready | Answered]) -> bool:
        accounts = {one.passed.begin.account for one in chunk}
        return any(self._kit.slots[account].slow for account in accounts)

    def _adapt(self, size: int, seconds: float) -> None:
        age = self._kit.settings.gate_age
        if seconds > _SLOW * age:
            self._slice.chunk = max(min(self._slice.chunk, size) // 2, 1)
        elif seconds < _QUICK * age and size >= self._slice.chunk:
            self._slice.chunk = min(self._slice.chunk * 2, self._kit.settings.chunk)


async def _upcoming(chunks: Rendered) -> list[Ready | Answered]:
    return await anext(chunks, [])


def _unspent(ready: Ready, why: str) -> Answered:
    return Answered(passed=ready.passed, outcome=Outcome(kind=OutcomeKind.NOT_SENT, text=why), unspent=True)
