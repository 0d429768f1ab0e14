"""The sums of a stretch of time, asked of a scratch copy after it was lived through (``services.forecast``).

The instants of a virtual clock are few, so messages are grouped by the very instant they left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage.outbox import state_is
from outbound.storage.tables import customer, decision, leg, message

S = MessageState

_ENDED = (S.SKIPPED, S.EXPIRED, S.CANCELLED, S.FAILED, S.UNCERTAIN, S.CLOSED_UNKNOWN)


@dataclass(frozen=True, slots=True)
class Left:
    """Messages of one rule that left on one channel at one instant (UTC)."""

    rule: str
    channel: str
    at: datetime
    messages: int
    cost: int


@dataclass(frozen=True, slots=True)
class Reasoned:
    """So many of one rule for one reason (``code.detail``)."""

    rule: str
    reason: str
    count: int


def left(connection: Connection, start: datetime, until: datetime) -> list[Left]:
    """What left from ``start`` to ``until``, grouped."""
    query = (
        sa.select(message.c.rule, leg.c.channel, message.c.sent_at, sa.func.count(), sa.func.sum(leg.c.cost))
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg))
        .where(*_sent(start, until))
        .group_by(message.c.rule, leg.c.channel, message.c.sent_at)
        .order_by(message.c.sent_at, message.c.rule)
    )
    return [Left(*row) for row in connection.execute(query)]


def entered(connection: Connection, start: datetime) -> dict[str, int]:
    """Occurrences decided from ``start`` on, by rule."""
    query = sa.select(decision.c.rule, sa.func.count()).where(decision.c.at >= start).group_by(decision.c.rule)
    return {row[0]: row[1] for row in connection.execute(query)}


def skipped(connection: Connection, start: datetime) -> list[Reasoned]:
    """What ended unsent from ``start`` on: at planning, or as a message later."""
    planned = (
        sa.select(decision.c.rule, decision.c.reason, decision.c.detail, sa.func.count())
        .where(decision.c.at >= start, decision.c.verdict == "skip")
        .group_by(decision.c.rule, decision.c.reason, decision.c.detail)
    )
    later = (
        sa.select(message.c.rule, message.c.reason, message.c.detail, sa.func.count())
        .where(message.c.updated_at >= start, state_is(*_ENDED))
        .group_by(message.c.rule, message.c.reason, message.c.detail)
    )
    found = [*connection.execute(planned), *connection.execute(later)]
    return [Reasoned(rule, f"{code}.{detail}" if detail else code, count) for rule, code, detail, count in found]


def held(connection: Connection, start: datetime) -> list[Reasoned]:
    """Messages of the stretch that a gate held at least once, by the first that did."""
    query = (
        sa.select(message.c.rule, message.c.held_by, sa.func.count())
        .where(message.c.updated_at >= start, message.c.held_by != "")
        .group_by(message.c.rule, message.c.held_by)
    )
    return [Reasoned(*row) for row in connection.execute(query)]


def waiting(connection: Connection) -> dict[str, int]:
    """Messages still queued, by rule."""
    query = sa.select(message.c.rule, sa.func.count()).where(state_is(S.SCHEDULED, S.READY)).group_by(message.c.rule)
    return {row[0]: row[1] for row in connection.execute(query)}


def most_by_rule(connection: Connection, start: datetime, until: datetime) -> dict[str, int]:
    """The most messages of a rule that one customer got."""
    each = (
        sa.select(message.c.rule, sa.func.count().label("messages"))
        .where(*_sent(start, until))
        .group_by(message.c.rule, message.c.customer_id)
        .subquery()
    )
    query = sa.select(each.c.rule, sa.func.max(each.c.messages)).group_by(each.c.rule)
    return {row[0]: row[1] for row in connection.execute(query)}


def people(connection: Connection, start: datetime, until: datetime) -> dict[int, int]:
    """How many customers got so many messages; 0 are the ones who got none."""
    each = _by_customer(start, until).subquery()
    query = sa.select(each.c.messages, sa.func.count()).group_by(each.c.messages).order_by(each.c.messages)
    found = {row[0]: row[1] for row in connection.execute(query)}
    living = sa.select(sa.func.count()).select_from(customer).where(customer.c.merged_into.is_(None))
    everybody = connection.execute(living).scalar_one()
    return {0: max(everybody - sum(found.values()), 0), **found}


def most(connection: Connection, start: datetime, until: datetime, *, limit: int) -> Sequence[tuple[str, int]]:
    """The customers with most messages."""
    query = _by_customer(start, until).order_by(sa.desc("messages"), message.c.customer_id).limit(limit)
    return [(row.customer_id, row.messages) for row in connection.execute(query)]


def _by_customer(start: datetime, until: datetime) -> sa.Select[tuple[int, str]]:
    counted = sa.func.count().label("messages")
    return sa.select(counted, message.c.customer_id).where(*_sent(start, until)).group_by(message.c.customer_id)


def _sent(start: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (message.c.sent_at >= start, message.c.sent_at <= until, state_is(S.SENT))
