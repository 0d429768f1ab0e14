"""Who took whose turn in a stretch that was lived through: asked of a scratch copy, which is SQLite."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.reasons import ReasonCode
from outbound.storage.tables import decision, message

_SOON = timedelta(hours=1)
"""A message is planned half an hour ahead; what left for its customer by then took its turn."""
_LOST = (ReasonCode.CAP, ReasonCode.CONFLICT)


@dataclass(frozen=True, slots=True)
class Lost:
    """A message that gave way: why (``cap.marketing.day``, ``conflict.birthday``), and when it left after all.

    ``planned_at`` is when it was decided about; ``winner`` the rule of the customer's last message before, "" for none.
    """

    rule: str
    why: str
    planned_at: datetime
    sent_at: datetime | None
    winner: str


def lost(connection: Connection, start: datetime) -> Iterator[Lost]:
    """The messages planned from ``start`` on that a cap or another message held first, or ended."""
    one, other = message.alias("one"), message.alias("other")
    ended = sa.case((one.c.detail == "", one.c.reason), else_=one.c.reason + "." + one.c.detail)
    why = sa.case((one.c.held_by != "", one.c.held_by), else_=ended)
    winner = (
        sa.select(other.c.rule)
        .where(
            other.c.customer_id == one.c.customer_id,
            other.c.id != one.c.id,
            other.c.sent_at <= sa.func.datetime(one.c.created_at, f"+{int(_SOON.total_seconds())} seconds"),
        )
        .order_by(other.c.sent_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    first = sa.or_(*(why.startswith(code.value) for code in _LOST))
    query = sa.select(one.c.rule, why, one.c.created_at, one.c.sent_at, sa.func.coalesce(winner, "")).where(
        one.c.created_at >= start, first
    )
    for row in connection.execute(query):
        yield Lost(*row)


def planned(connection: Connection, start: datetime) -> Iterator[tuple[str, datetime, int]]:
    """(rule, instant of planning, messages) from ``start`` on."""
    query = (
        sa.select(decision.c.rule, decision.c.at, sa.func.count())
        .where(decision.c.at >= start, decision.c.verdict != "skip")
        .group_by(decision.c.rule, decision.c.at)
    )
    for row in connection.execute(query):
        yield row[0], row[1], row[2]
