"""What became of the people of an experiment, read from decisions and messages."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.tables import decision, message

_PAGE = 1_000
_NEVER_ASSIGNED = ("who", "suppressed", "consent", "unreachable")
"""Reasons of gates before ``experiment``: whoever stopped there is in no group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One person's first assignment; ``variant`` is "" for the held out."""

    customer_id: str
    variant: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many of a group's decisions or messages stand like this. Decisions without message have state ``skipped``."""

    variant: str
    state: str
    reason: str
    count: int


def exposures(connection: Connection, *, rule: str, experiment: str) -> Iterator[list[Exposure]]:
    """Everybody who was assigned, each once with the first time, in pages: memory does not grow with the people."""
    d = decision
    query = (
        sa.select(d.c.customer_id, d.c.variant, d.c.at)
        .where(_assigned(rule, experiment))
        .order_by(d.c.customer_id, d.c.at, d.c.once)
    )
    page: list[Exposure] = []
    last = None
    for row in connection.execution_options(yield_per=_PAGE).execute(query):
        if row.customer_id == last:
            continue
        last = row.customer_id
        page.append(Exposure(customer_id=row.customer_id, variant=row.variant, at=row.at))
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def exposed_after(connection: Connection, *, rule: str, experiment: str, now: datetime) -> int:
    """How many people were assigned for the first time later than ``now``, as on a made-up clock."""
    d = decision
    first = sa.select(d.c.customer_id).where(_assigned(rule, experiment)).group_by(d.c.customer_id)
    late = first.having(sa.func.min(d.c.at, type_=d.c.at.type) > now).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(late)).scalar_one()


def tallies(connection: Connection, *, rule: str, experiment: str) -> list[Tally]:
    """The decisions without a message by reason, and the messages by state and reason, of each group."""
    d, m = decision, message
    skipped = (
        sa.select(d.c.variant, sa.literal("skipped"), d.c.reason, sa.func.count())
        .where(_assigned(rule, experiment), d.c.verdict == "skip")
        .group_by(d.c.variant, d.c.reason)
    )
    same = sa.and_(m.c.rule == d.c.rule, m.c.once == d.c.once, m.c.customer_id == d.c.customer_id, m.c.step == d.c.step)
    planned = (
        sa.select(d.c.variant, m.c.state, m.c.reason, sa.func.count())
        .select_from(d.join(m, same))
        .where(_assigned(rule, experiment), d.c.verdict != "skip")
        .group_by(d.c.variant, m.c.state, m.c.reason)
    )
    return [
        Tally(variant=row[0], state=row[1], reason=row[2], count=row[3])
        for query in (skipped, planned)
        for row in connection.execute(query)
    ]


def last_release(connection: Connection, *, rule: str, experiment: str) -> str | None:
    """The release of the newest decision: what an experiment was that no longer runs."""
    d = decision
    query = sa.select(d.c.release).where(d.c.rule == rule, d.c.experiment == experiment)
    return connection.execute(query.order_by(d.c.at.desc()).limit(1)).scalar_one_or_none()


def held_out_globally(connection: Connection, holdout: str) -> tuple[int, int]:
    """How many people the policy's holdout kept silent, and how many messages they did not get.

    Reads every decision: there is no index by reason, and nobody asks often.
    """
    d = decision
    query = sa.select(sa.func.count(d.c.customer_id.distinct()), sa.func.count()).where(
        d.c.reason == "held_out", d.c.detail == holdout
    )
    people, messages = connection.execute(query).one()
    return people, messages


def _assigned(rule: str, experiment: str) -> sa.ColumnElement[bool]:
    d = decision
    return sa.and_(d.c.rule == rule, d.c.experiment == experiment, d.c.reason.not_in(_NEVER_ASSIGNED))
