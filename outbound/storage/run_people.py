"""The customers of one run, read a page at a time: what was decided for each, and who did not match at all."""

import json
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.runs import Miss
from outbound.storage.tables import decision, leg, manifest, message


class Place(NamedTuple):
    """Where a page ended: the next one holds what comes after, in the order of customer ids."""

    customer_id: str
    once: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One candidate of a run. ``state`` is "" where planning skipped and there is no message.

    ``channel`` is the one whose turn it is, ``not_before`` when a message may leave (UTC), ``zone`` the one it was
    planned in, "" where its rule names no local time.
    """

    place: Place
    state: str
    channel: str
    reason: str
    detail: str
    not_before: datetime | None
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which candidates are asked for; "" is all of them. ``state`` ``skipped`` has those of planning too."""

    reason: str = ""
    detail: str = ""
    state: str = ""


_reason = sa.func.coalesce(message.c.reason, decision.c.reason)
_detail = sa.func.coalesce(message.c.detail, decision.c.detail)
_state = sa.func.coalesce(message.c.state, "skipped")
_JOINED = decision.join(
    message,
    sa.and_(
        message.c.rule == decision.c.rule,
        message.c.once == decision.c.once,
        message.c.customer_id == decision.c.customer_id,
        message.c.step == decision.c.step,
    ),
    isouter=True,
)


def page(connection: Connection, run_id: str, wanted: Wanted, *, limit: int, after: Place | None = None) -> list[Row]:
    """The next ``limit`` candidates of a run, ordered by customer id."""
    columns = (
        decision.c.customer_id,
        decision.c.once,
        decision.c.step,
        sa.func.coalesce(message.c.state, "").label("state"),
        sa.func.coalesce(leg.c.channel, message.c.channels, decision.c.channel).label("channel"),
        _reason.label("reason"),
        _detail.label("detail"),
        message.c.not_before,
        sa.func.coalesce(message.c.zone, "").label("zone"),
    )
    turn = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
    query = _filtered(sa.select(*columns).select_from(_JOINED.join(leg, turn, isouter=True)), run_id, wanted)
    key = (decision.c.customer_id, decision.c.once, decision.c.step)
    if after is not None:
        # The first half is what the index (run_id, customer_id) can seek to.
        query = query.where(decision.c.customer_id >= after.customer_id, sa.tuple_(*key) > sa.tuple_(*after))
    return [
        Row(
            place=Place(row.customer_id, row.once, row.step),
            state=row.state,
            channel=row.channel.split(",")[0],
            reason=row.reason,
            detail=row.detail,
            not_before=row.not_before,
            zone=row.zone,
        )
        for row in connection.execute(query.order_by(*key).limit(limit))
    ]


def number(connection: Connection, run_id: str, wanted: Wanted) -> int:
    """How many candidates of a run are ``wanted``."""
    query = _filtered(sa.select(sa.func.count()).select_from(_JOINED), run_id, wanted)
    return int(connection.execute(query).scalar_one())


def _filtered(query: sa.Select[Any], run_id: str, wanted: Wanted) -> sa.Select[Any]:
    query = query.where(decision.c.run_id == run_id)
    if wanted.reason:
        query = query.where(_reason == wanted.reason)
    if wanted.detail:
        query = query.where(_detail == wanted.detail)
    return query.where(_state == wanted.state) if wanted.state else query


def misses(connection: Connection, run_id: str, *, after: str = "") -> tuple[str, list[Miss]] | None:
    """One piece of those who did not match, and its name to go on ``after``; None behind the last."""
    query = (
        sa.select(manifest.c.zone, manifest.c.misses)
        .where(manifest.c.run_id == run_id, manifest.c.zone > after)
        .order_by(manifest.c.zone)
        .limit(1)
    )
    row = connection.execute(query).first()
    return (row.zone, list(_missed(row.misses))) if row else None


def miss_of(connection: Connection, run_id: str, ids: Collection[str]) -> int | None:
    """The clause at which a customer (all the ids they had) did not match in a run; None where there is none."""
    wanted, after = frozenset(ids), ""
    while piece := misses(connection, run_id, after=after):
        after = piece[0]
        for customer_id, clause in piece[1]:
            if customer_id in wanted:
                return clause
    return None


def missed(connection: Connection, run_id: str) -> int:
    """How many did not match, or were outside the coverage of the experiment."""
    query = sa.select(sa.func.coalesce(sa.func.sum(manifest.c.count), 0)).where(manifest.c.run_id == run_id)
    return int(connection.execute(query).scalar_one())


def _missed(packed: bytes) -> Iterator[Miss]:
    for clause, customers in json.loads(zlib.decompress(packed))["misses"].items():
        for customer_id in customers:
            yield customer_id, int(clause)
