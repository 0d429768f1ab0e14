"""The same request again gets the same answer, once done and for seven days (delivery.md 2.8)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.storage import api_requests
from outbound.storage.api_requests import Kept, Request
from outbound.storage.database import Database

KEPT: Final = timedelta(days=7)
LONGEST_KEY: Final = 255
RUNS_FOR: Final = timedelta(minutes=1)
"""A request that began so long ago and has no answer lost its process: what it did is done again, to no effect."""
_FAILED: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and body of an answer; ``replayed`` where it was given before."""

    status: int
    body: str
    replayed: bool = False


def once(database: Database, request: Request | None, work: Callable[[], Answer], *, now: datetime) -> Answer:
    """Do ``work`` under its key, or give the answer it had; without a request just do it.

    ``work`` must be harmless when it is done twice, because a process may die before its answer is kept. What failed
    (5xx, or an exception) is not kept. Raises OutboundError ``api.idempotency_running`` while the first call is at
    work, and ``api.idempotency_body`` for another body under the key.
    """
    if request is None:
        return work()
    with database.write() as connection:
        earlier = standing(connection, request, api_requests.claim(connection, [request], now=now)[request], now=now)
    if earlier is not None:
        return earlier
    try:
        answer = work()
    except BaseException:
        with database.write() as connection:
            api_requests.forget(connection, request)
        raise
    with database.write() as connection:
        if answer.status < _FAILED:
            api_requests.settle(connection, {request: (answer.status, answer.body)})
        else:
            api_requests.forget(connection, request)
    return answer


def standing(connection: Connection, request: Request, kept: Kept | None, *, now: datetime) -> Answer | None:
    """The answer that stands for a claimed request; None: it is ours to do. Raises as ``once`` does."""
    if kept is None:
        return None
    old = now - kept.started_at
    if old >= KEPT or (kept.status is None and old >= RUNS_FOR and kept.body_hash == request.body_hash):
        if api_requests.retake(connection, request, kept, now=now):
            return None
        raise _running()
    if kept.body_hash != request.body_hash:
        remedy = "use another Idempotency-Key for another request"
        raise OutboundError("api.idempotency_body", "this Idempotency-Key came with another body before", remedy)
    if kept.status is None:
        raise _running()
    return Answer(status=kept.status, body=kept.answer, replayed=True)


def forget_old(database: Database, *, now: datetime) -> int:
    """Delete what is older than seven days; returns how many."""
    with database.write() as connection:
        return api_requests.forget_older(connection, now - KEPT)


def _running() -> OutboundError:
    return OutboundError("api.idempotency_running", "the first request with this Idempotency-Key runs", "ask again")
