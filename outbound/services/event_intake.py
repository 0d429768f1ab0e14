"""Many callers at once record their events in one transaction: what arrives while one commits shares the next."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError

from outbound.domain.customer import Event
from outbound.domain.errors import OutboundError
from outbound.services import idempotency
from outbound.services.events import another_customer
from outbound.services.idempotency import Answer
from outbound.storage import api_requests
from outbound.storage import events as event_log
from outbound.storage.api_requests import Request
from outbound.storage.database import Database

GROUP: Final = 500
"""Events of one transaction."""
_MOST_WAITING: Final = 5_000
_CREATED: Final = 201
_OK: Final = 200


@dataclass(slots=True)
class _Job:
    event: Event
    request: Request | None
    source: str
    answer: "asyncio.Future[Answer]"


class EventIntake:
    """Records single events durably, in groups. Belongs to one event loop; its writing is done by ``threads``."""

    def __init__(self, database: Database, threads: Executor) -> None:
        self._database = database
        self._threads = threads
        self._waiting: list[_Job] = []
        self._committer: asyncio.Task[None] | None = None

    async def record(self, event: Event, request: Request | None, *, source: str) -> Answer:
        """Record one event, once under its request; the answer comes when it is on disk.

        Raises OutboundError ``event.id``, what ``idempotency.once`` raises, and ``api.busy`` when too many wait.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise OutboundError("api.busy", "too many events wait to be written", "try again in a moment")
        job = _Job(event, request, source, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_all(), name="outbound-event-intake")
        return await job.answer

    async def _commit_all(self) -> None:
        while self._waiting:
            group = self._take()
            for job, answer in zip(group, await self._commit(group), strict=True):
                if job.answer.done():  # its caller went away
                    continue
                if isinstance(answer, Answer):
                    job.answer.set_result(answer)
                else:
                    job.answer.set_exception(answer)

    def _take(self) -> list[_Job]:
        """The next group: no request twice, so that the second one finds the answer of the first."""
        group: list[_Job] = []
        later: list[_Job] = []
        places = set()
        for job in self._waiting:
            place = job.request.place if job.request else None
            if len(group) < GROUP and (place is None or place not in places):
                group.append(job)
                places.add(place)
            else:
                later.append(job)
        self._waiting = later
        return group

    async def _commit(self, group: list[_Job]) -> "Sequence[Answer | Exception]":
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._write, group)
        except DataError as error:
            if len(group) == 1:
                return [error]
            return [(await self._commit([job]))[0] for job in group]  # one of them cannot be stored: not all
        except Exception as error:  # noqa: BLE001 - each caller learns of it, and decides
            return [error] * len(group)

    def _write(self, group: list[_Job]) -> "list[Answer | Exception]":
        with self._database.write() as connection:
            answers = _replays(connection, group)
            mine = {place: job for place, job in enumerate(group) if place not in answers}
            recorded = record_each(connection, [(job.event, job.source) for job in mine.values()])
            for (place, job), new in zip(mine.items(), recorded, strict=True):
                answers[place] = another_customer(job.event) if new is None else said(job.event, new=new)
            requests = [(job.request, answers[place]) for place, job in mine.items() if job.request is not None]
            done = {one: (answer.status, answer.body) for one, answer in requests if isinstance(answer, Answer)}
            api_requests.settle(connection, done)
            for one, answer in requests:
                if not isinstance(answer, Answer):
                    api_requests.forget(connection, one)
        return [answers[place] for place in range(len(group))]


def _replays(connection: Connection, group: Sequence[_Job]) -> "dict[int, Answer | Exception]":
    """What stands for those of the group that were asked before, by their place in it."""
    now = max(job.event.received_at for job in group)
    asked = {place: job.request for place, job in enumerate(group) if job.request is not None}
    claimed = api_requests.claim(connection, list(asked.values()), now=now) if asked else {}
    answers: dict[int, Answer | Exception] = {}
    for place, request in asked.items():
        try:
            earlier = idempotency.standing(connection, request, claimed[request], now=now)
        except OutboundError as refused:
            answers[place] = refused
        else:
            if earlier is not None:
                answers[place] = earlier
    return answers


def record_each(connection: Connection, events: Sequence[tuple[Event, str]]) -> list[bool | None]:
    """Record events with their sources: True for a new one, False for a known one, None for another customer's."""
    if not events:
        return []
    fresh = event_log.append_each(connection, events)
    owners = {event.id: event.customer_id for event, _ in reversed(events) if event.id in fresh}
    known = [event.id for event, _ in events if event.id not in fresh]
    if known:
        owners |= event_log.owners(connection, known)
    answers: list[bool | None] = []
    for event, _ in events:
        answers.append(event.id in fresh if owners[event.id] == event.customer_id else None)
        fresh.discard(event.id)  # the same id again is known by now
    return answers


def said(event: Event, *, new: bool) -> Answer:
    """What is answered to a recorded event: 201 where it is new, 200 where it was known."""
    body = {"id": event.id, "name": event.name, "customer": event.customer_id, "at": event.at.isoformat(), "new": new}
    return Answer(status=_CREATED if new else _OK, body=json.dumps(body, ensure_ascii=False))


def own_id(request: Request | None, number: int = 0) -> str | None:
    """The id of an event that came without one: the same again when its request comes again, None without a key."""
    if request is None:
        return None
    parts = (*request.place, request.body_hash, str(number))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
