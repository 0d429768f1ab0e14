"""Requests that carry an ``Idempotency-Key``, and what was answered to them (delivery.md 2.8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import insert_into
from outbound.storage.tables import api_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that may come again. ``body_hash`` tells whether it is the same one."""

    api_key: str
    route: str
    key: str
    body_hash: str

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes it the same request: key of the API, route, Idempotency-Key."""
        return self.api_key, self.route, self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is on record of an earlier one; ``status`` None: it still runs, or its process died."""

    body_hash: str
    started_at: datetime
    status: int | None
    answer: str


def claim(connection: Connection, requests: Sequence[Request], *, now: datetime) -> dict[Request, Kept | None]:
    """Take these requests, of different places; None for each that nobody took before.

    On PostgreSQL who comes second waits until the first has committed.
    """
    rows = [
        {
            "api_key": one.api_key,
            "route": one.route,
            "idempotency_key": one.key,
            "body_hash": one.body_hash,
            "started_at": now,
        }
        for one in sorted(requests, key=lambda one: one.place)  # one order, so that no two wait in a ring
    ]
    statement = insert_into(connection, api_request).values(rows).on_conflict_do_nothing()
    fresh = {tuple(row) for row in connection.execute(statement.returning(*api_request.primary_key.columns))}
    return {one: None if one.place in fresh else _kept(connection, one) for one in requests}


def retake(connection: Connection, request: Request, kept: Kept, *, now: datetime) -> bool:
    """Begin it anew, instead of the one that is kept. False when somebody else was first."""
    change = api_request.update().where(*_is(request), api_request.c.started_at == kept.started_at)
    values = {"body_hash": request.body_hash, "started_at": now, "status": None, "answer": None}
    return connection.execute(change.values(**values)).rowcount > 0


def settle(connection: Connection, answers: Mapping[Request, tuple[int, str]]) -> None:
    """Keep the status and the body that were answered."""
    if answers:
        bound = (
            api_request.c.api_key == sa.bindparam("b_api_key"),
            api_request.c.route == sa.bindparam("b_route"),
            api_request.c.idempotency_key == sa.bindparam("b_key"),
        )
        change = api_request.update().where(*bound)
        change = change.values(status=sa.bindparam("b_status"), answer=sa.bindparam("b_answer"))
        rows = [
            {"b_api_key": one.api_key, "b_route": one.route, "b_key": one.key, "b_status": status, "b_answer": answer}
            for one, (status, answer) in answers.items()
        ]
        connection.execute(change, rows)


def forget(connection: Connection, request: Request) -> None:
    """Nothing came of it: the next one with the key begins anew."""
    connection.execute(api_request.delete().where(*_is(request), api_request.c.status.is_(None)))


def forget_older(connection: Connection, than: datetime) -> int:
    """Delete those that began before ``than``; returns how many."""
    return connection.execute(api_request.delete().where(api_request.c.started_at < than)).rowcount


def _kept(connection: Connection, request: Request) -> Kept:
    row: Any = connection.execute(sa.select(api_request).where(*_is(request))).one()
    return Kept(body_hash=row.body_hash, started_at=row.started_at, status=row.status, answer=row.answer or "")


def _is(request: Request) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        api_request.c.api_key == request.api_key,
        api_request.c.route == request.route,
        api_request.c.idempotency_key == request.key,
    )
