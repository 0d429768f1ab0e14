"""Delivery receipts: what a provider reports later about a leg it accepted, and the legs nothing was reported of."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.message import MessageState
from outbound.storage import locks
from outbound.storage.outbox import move, state_is
from outbound.storage.sets import among
from outbound.storage.tables import leg, message
from outbound.storage.traffic import NO_RECEIPT

S = MessageState

_OLDEST = timedelta(days=7)
"""A leg from before that is left alone: the sweep stood still too long for a second channel to be of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """A sent message whose leg got no receipt in time, and the channels of its legs so far."""

    message_id: str
    customer_id: str
    leg: int
    channels: tuple[ChannelName, ...]
    tried: frozenset[ChannelName]


def receive(connection: Connection, reference: str, *, at: datetime) -> tuple[list[str], int]:
    """Note the delivery of what the provider knows by ``reference``: the ids of its messages, how many were news."""
    known = connection.execute(sa.select(leg.c.message_id).where(leg.c.provider_ref == reference)).scalars().all()
    news = leg.update().where(leg.c.provider_ref == reference, leg.c.receipt_at.is_(None)).values(receipt_at=at)
    return list(dict.fromkeys(known)), connection.execute(news).rowcount


def unreported(
    connection: Connection, channels: Collection[ChannelName], *, accepted_before: datetime, now: datetime, limit: int
) -> list[Unreported]:
    """Up to ``limit`` messages that a provider of ``channels`` accepted before then and said nothing more of.

    They and their customers stay locked to the end of the transaction. Messages that are over, or at their last
    channel, are not among them.
    """
    waiting = (
        leg.c.channel.in_(sorted(channel.value for channel in channels)),
        leg.c.receipt_at.is_(None),
        leg.c.moved_on == sa.literal_column("''"),
        leg.c.at <= accepted_before,
        leg.c.at > now - _OLDEST,
        *((leg.c.channel != sa.literal_column("'email'"),) if ChannelName.EMAIL not in channels else ()),
    )
    over = (state_is(S.SENT), message.c.sent_at <= accepted_before, message.c.expires > now)
    more = message.c.channels.like("%,%")
    joined = sa.and_(message.c.id == leg.c.message_id, message.c.leg == leg.c.n)
    found = sa.select(message.c.id).join(leg, joined).where(*waiting, *over, more).order_by(leg.c.at).limit(limit)
    ids = list(connection.execute(found).scalars())
    if not ids:
        return []
    locks.of_messages(connection, ids)
    # once more behind the locks: a receipt, a merge or another sweep may have come first
    again = (
        sa.select(message.c.id, message.c.customer_id, message.c.leg, message.c.channels)
        .join(leg, joined)
        .where(among(connection, message.c.id, ids), *waiting, *over)
        .order_by(message.c.id)
        .with_for_update(of=[message, leg])
    )
    rows = connection.execute(again).all()
    tried: dict[str, set[ChannelName]] = {row.id: set() for row in rows}
    legs = sa.select(leg.c.message_id, leg.c.channel).where(among(connection, leg.c.message_id, list(tried)))
    for message_id, channel in connection.execute(legs):
        tried[message_id].add(ChannelName(channel))
    return [
        Unreported(
            message_id=row.id,
            customer_id=row.customer_id,
            leg=row.leg,
            channels=tuple(ChannelName(name) for name in row.channels.split(",") if name),
            tried=frozenset(tried[row.id]),
        )
        for row in rows
    ]


def move_on(
    connection: Connection, pairs: Sequence[tuple[Unreported, ChannelName]], *, now: datetime, why: str = NO_RECEIPT
) -> None:
    """Sent → ready, together with why the leg was left and the row of the next one (its address: at the gate).

    ``why`` is a word of the policy's ``next_on``. Call it inside the transaction that locked them.
    """
    if not pairs:
        return
    bound = (leg.c.message_id == sa.bindparam("b_id"), leg.c.n == sa.bindparam("b_n"))
    connection.execute(
        leg.update().where(*bound).values(moved_on=why), [{"b_id": o.message_id, "b_n": o.leg} for o, _ in pairs]
    )
    connection.execute(
        leg.insert(),
        [
            {
                "message_id": one.message_id,
                "n": one.leg + 1,
                "channel": channel.value,
                "customer_id": one.customer_id,
                "address": "",
                "account": "",
                "provider_ref": "",
                "moved_on": "",
                "cost": 0,
                "at": now,
            }
            for one, channel in pairs
        ],
    )
    change = move(S.READY, S.SENT).where(among(connection, message.c.id, [one.message_id for one, _ in pairs]))
    values = {"not_before": now, "attempts": 0, "body_hash": "", "updated_at": now, "reason": "", "detail": ""}
    connection.execute(change.values(leg=message.c.leg + 1, **values))
