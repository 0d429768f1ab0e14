"""Everything the dispatcher writes, through one door; handover marks and results in group commit.

While one transaction commits, marks and results that arrive wait together and share the next one: alone
they are written at once, under load a commit is shared by up to ``group`` messages. On SQLite the door is
one thread, so that the process never waits for its own lock. What express messages need goes first, and so do
marks and results, which free connections; claims and gates of the bulk lane wait.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from outbound.services.dispatch.line import Line
from outbound.services.dispatch.points import hit
from outbound.storage import outbox_results
from outbound.storage.database import Database
from outbound.storage.outbox_results import Recorded, Result

T = TypeVar("T")

log = structlog.get_logger("outbound.dispatch")

_POSTGRESQL_THREADS = 4
_TRIES = 6
_FIRST_WAIT = 0.1
"""Seconds before the first repeat of a failed commit of results; each further wait is twice as long."""


@dataclass(slots=True)
class _Marks:
    hashes: Mapping[str, str]
    now: datetime
    answer: asyncio.Future[frozenset[str]]


@dataclass(slots=True)
class _Results:
    results: Sequence[Result]
    now: datetime
    answer: asyncio.Future[Recorded]


@dataclass(frozen=True, slots=True)
class _Group:
    marks: list[_Marks]
    results: list[_Results]


class Writer:
    """Belongs to one event loop: the one of the first call."""

    def __init__(self, database: Database, *, group: int) -> None:
        self._database = database
        self._group = group
        threads = 1 if database.is_sqlite else _POSTGRESQL_THREADS
        self._line = Line(threads, name="outbound-writer")
        self._marks: list[_Marks] = []
        self._results: list[_Results] = []
        self._committer: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[Connection], T], *, urgent: bool = True) -> T:
        """Run ``work`` in a transaction of its own."""

        def run() -> T:
            with self._database.write() as connection:
                return work(connection)

        return await self._line.run(run, urgent=urgent)

    async def mark(self, hashes: Mapping[str, str], *, now: datetime) -> frozenset[str]:
        """Make handovers durable (attempt id to body hash). What is not answered lost its lease: send nothing.

        Nothing is answered when the database fails.
        """
        answer: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
        self._marks.append(_Marks(hashes, now, answer))
        self._wake()
        return await answer

    async def record(self, results: Sequence[Result], *, now: datetime) -> Recorded:
        """Write results. Raises DBAPIError when the database stays away: the leases then run out."""
        answer: asyncio.Future[Recorded] = asyncio.get_running_loop().create_future()
        self._results.append(_Results(results, now, answer))
        self._wake()
        return await answer

    async def close(self) -> None:
        """Finish what waits, then stop."""
        while self._committer is not None and not self._committer.done():
            await self._committer
        self._line.close()

    def _wake(self) -> None:
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_all(), name="outbound-committer")

    async def _commit_all(self) -> None:
        while self._marks or self._results:
            marks, self._marks = self._marks[: self._group], self._marks[self._group :]
            results, self._results = self._results, []
            await self._commit(_Group(marks, results))

    async def _commit(self, group: _Group) -> None:
        try:
            marked, recorded = await self._line.run(lambda: self._commit_group(group), urgent=True)
        except Exception as error:  # noqa: BLE001 - fail closed: no handover; results are tried again, one by one
            log.error("group commit failed", error=type(error).__name__)  # noqa: TRY400 - a traceback may quote values
            for mark in group.marks:
                _resolve(mark.answer, frozenset())
            for one in group.results:
                await self._commit_alone(one)
            return
        for mark in group.marks:
            _resolve(mark.answer, marked & mark.hashes.keys())
        for one, answer in zip(group.results, recorded, strict=True):
            _resolve(one.answer, answer)
        if group.results:
            hit("record.done")

    async def _commit_alone(self, one: _Results) -> None:
        """Keep trying: a result that is lost makes a message uncertain."""
        wait = _FIRST_WAIT
        for last in (*(False,) * (_TRIES - 1), True):
            try:
                _, recorded = await self._line.run(lambda: self._commit_group(_Group([], [one])), urgent=True)
            except DBAPIError as error:
                if last:
                    _fail(one.answer, error)
                    return
                await asyncio.sleep(wait)
                wait *= 2
            except Exception as error:  # noqa: BLE001 - a bug in one result must not stop the others
                _fail(one.answer, error)
                return
            else:
                _resolve(one.answer, recorded[0])
                return

    def _commit_group(self, group: _Group) -> tuple[frozenset[str], list[Recorded]]:
        """One transaction: results first, so that what is known is never behind what is about to happen."""
        marked: frozenset[str] = frozenset()
        recorded = []
        with self._database.write() as connection:
            together = [result for one in group.results for result in one.results]
            if together:
                found = outbox_results.record(connection, together, now=max(one.now for one in group.results))
                for one in group.results:
                    ids = {result.attempt_id for result in one.results}
                    recorded.append(Recorded(late=found.late & ids, proved=found.proved & ids))
                hit("record.open")
            if group.marks:
                marks = {attempt: digest for mark in group.marks for attempt, digest in mark.hashes.items()}
                marked = outbox_results.mark_handoff(connection, marks, now=max(mark.now for mark in group.marks))
                hit("handoff.open")
        return marked, recorded


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():  # its waiter may have been cancelled
        future.set_result(value)


def _fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
