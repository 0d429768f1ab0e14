"""What providers accepted and what it costs, by channel and country, from the legs. In millionths of a currency."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.tables import customer, decision, leg, message, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Accepted messages of one channel to one country ("" unknown) that cost something: ``cost`` millionths."""

    channel: str
    country: str
    currency: str
    legs: int
    cost: int


def spent(connection: Connection, run_id: str | None) -> tuple[Spent, ...]:
    """By channel, currency and country, of one run or of all (None).

    Every leg counts that a provider charges for: also one that bounced later and was followed by another.
    Customers who are gone count under the country "".
    """
    country = sa.func.coalesce(customer.c.country, "")
    source = (
        leg.join(message, message.c.id == leg.c.message_id)
        .outerjoin(run, run.c.id == message.c.run_id)
        .outerjoin(customer, customer.c.id == leg.c.customer_id)
    )
    currency = sa.func.coalesce(run.c.currency, "")
    query = (
        sa.select(leg.c.channel, country, currency, sa.func.count(), sa.func.sum(leg.c.cost))
        .select_from(source)
        .where(leg.c.cost > 0)
        .group_by(leg.c.channel, country, currency)
        .order_by(leg.c.channel, currency, country)
    )
    if run_id is not None:
        query = query.where(message.c.run_id == run_id)
    return tuple(
        Spent(channel=row[0], country=row[1], currency=row[2], legs=int(row[3]), cost=int(row[4]))
        for row in connection.execute(query)
    )


def spent_by_channel(connection: Connection) -> tuple[str, dict[str, int]]:
    """The currency of the newest run that has one, and what was spent on each channel since the beginning."""
    newest = sa.select(run.c.currency).where(run.c.currency != "").order_by(run.c.started_at.desc()).limit(1)
    query = sa.select(leg.c.channel, sa.func.sum(leg.c.cost)).where(leg.c.cost > 0).group_by(leg.c.channel)
    return connection.execute(newest).scalar() or "", {row[0]: int(row[1]) for row in connection.execute(query)}


def planned(connection: Connection, run_id: str | None) -> dict[str, int]:
    """What planning expects to spend, by currency: of one run or of all (None)."""
    query = sa.select(run.c.currency, sa.func.sum(run.c.cost)).where(run.c.cost > 0).group_by(run.c.currency)
    if run_id is not None:
        query = query.where(run.c.id == run_id)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def planned_places(connection: Connection, run_id: str) -> dict[tuple[str, str], int]:
    """How many messages a run has, by the channel planned first and the customer's country ("" unknown)."""
    country = sa.func.coalesce(customer.c.country, "")
    query = (
        sa.select(decision.c.channel, country, sa.func.count())
        .select_from(decision.outerjoin(customer, customer.c.id == decision.c.customer_id))
        .where(decision.c.run_id == run_id, decision.c.verdict != "skip")
        .group_by(decision.c.channel, country)
        .order_by(decision.c.channel, country)
    )
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}
