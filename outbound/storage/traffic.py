"""What else reaches a customer: the contacts that caps count, and the queued messages that compete.

There is no table of reservations: a message that its gate let go is the reservation, because it is ``sending``
when the gate commits. Called in the gate's transaction, after ``outbox_claims.lock_claimed`` has locked the
customers, both answers stand until that transaction ends (fault C32).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.durations import DurationUnit
from outbound.domain.message import MessageState
from outbound.domain.policy import CalendarPeriod, Cap, CapUse, Policy
from outbound.domain.reasons import ReasonCode
from outbound.domain.traffic import Contact, Traffic
from outbound.storage.outbox import state_is
from outbound.storage.sets import among, chunks
from outbound.storage.tables import leg, message

S = MessageState

NO_RECEIPT = "no_receipt"
"""Why a leg was left that the provider had accepted: it stays a contact."""

_MARGIN = timedelta(days=2)
"""Local days begin up to 14 hours before UTC ones and 12 after; a skipped or repeated one adds a day."""
_PERIODS = {
    CalendarPeriod.DAY: timedelta(days=1),
    CalendarPeriod.WEEK: timedelta(days=7),
    CalendarPeriod.MONTH: timedelta(days=31),
    CalendarPeriod.YEAR: timedelta(days=366),
}
_STEPS = {
    DurationUnit.DAY: timedelta(days=1),
    DurationUnit.WEEK: timedelta(days=7),
    DurationUnit.MONTH: timedelta(days=31),
}
_CHANNELS = {channel.value: channel for channel in ChannelName}


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A message that waits for its first gate. All instants are UTC, ``local_time`` and ``zone`` as on the row."""

    message_id: str
    run_id: str
    rule: str
    topic: str
    channels: tuple[ChannelName, ...]
    not_before: datetime
    local_time: str
    zone: str
    expires: datetime


def load(connection: Connection, policy: Policy, ids: Sequence[str], *, now: datetime) -> dict[str, Traffic]:
    """The contacts of those customers among ``ids`` who had any, as far back as a cap of ``policy`` looks.

    A contact is the leg that a message is at, once its gate has let it go and as long as nobody knows that it did
    not arrive: a deferred or bounced one is none. A leg that was left for want of a receipt remains one.
    """
    if not policy.caps or not ids:
        return {}
    since = now - max(_reach(cap) for cap in policy.caps)
    query = sa.select(
        leg.c.customer_id, leg.c.message_id, leg.c.channel, leg.c.at, message.c.message_class, message.c.topic
    ).join(message, message.c.id == leg.c.message_id)
    query = query.where(_counts(), leg.c.at > since, _counted_by(policy))
    found: dict[str, list[Contact]] = defaultdict(list)
    for some in chunks(list(dict.fromkeys(ids))):
        mine = query.where(among(connection, leg.c.customer_id, some))
        for customer_id, message_id, channel, at, message_class, topic in connection.execute(mine).all():
            contact = Contact(
                message_class=message_class, topic=topic, channel=_CHANNELS[channel], at=at, message_id=message_id
            )
            found[customer_id].append(contact)
    return {customer_id: Traffic(contacts=tuple(contacts)) for customer_id, contacts in found.items()}


def queued(connection: Connection, policy: Policy, ids: Sequence[str], *, now: datetime) -> dict[str, list[Queued]]:
    """The messages of these customers that obey caps and are due within the window of arbitration.

    A message that passed a gate once has had its turn and competes no more: it is being tried again. One that
    somebody paused does not compete either, nor one whose gate failed.
    """
    names = [name for name, one in policy.classes.items() if one.caps is CapUse.APPLY]
    if not names or not ids:
        return {}
    begun = sa.select(sa.literal(1)).where(leg.c.message_id == message.c.id).exists()
    query = sa.select(
        message.c.customer_id,
        message.c.id,
        message.c.run_id,
        message.c.rule,
        message.c.topic,
        message.c.channels,
        message.c.not_before,
        message.c.local_time,
        message.c.zone,
        message.c.expires,
    ).where(
        state_is(S.SCHEDULED, S.READY, S.CLAIMED),
        message.c.message_class.in_(names),
        message.c.not_before <= now + policy.arbitration.window,
        message.c.expires > now,
        message.c.reason.not_in([ReasonCode.PAUSED.value, ReasonCode.LIMITS.value]),
        ~begun,
    )
    found: dict[str, list[Queued]] = defaultdict(list)
    for some in chunks(list(dict.fromkeys(ids))):
        mine = query.where(among(connection, message.c.customer_id, some))
        for customer_id, message_id, run_id, rule, topic, channels, *rest in connection.execute(mine).all():
            not_before, local_time, zone, expires = rest
            one = Queued(
                message_id=message_id,
                run_id=run_id,
                rule=rule,
                topic=topic,
                channels=tuple(_CHANNELS[name] for name in channels.split(",") if name in _CHANNELS),
                not_before=not_before,
                local_time=local_time,
                zone=zone,
                expires=expires,
            )
            found[customer_id].append(one)
    return found


def _counts() -> sa.ColumnElement[bool]:
    """The leg reached the customer, may have, or is about to.

    Of a class that sends again after an unknown outcome, what waits for that may have reached them too.
    """
    away = state_is(S.SENDING, S.SENT, S.UNCERTAIN, S.CLOSED_UNKNOWN)
    waits = state_is(S.SCHEDULED, S.READY, S.CLAIMED)
    again = sa.and_(waits, message.c.on_uncertain == "resend", message.c.attempts > 0)
    current = sa.and_(leg.c.n == message.c.leg, sa.or_(away, again))
    return sa.or_(current, leg.c.moved_on == NO_RECEIPT)


def _counted_by(policy: Policy) -> sa.ColumnElement[bool]:
    """Some cap counts it: by its class, its topic or its channel; an exempt class counts nowhere."""
    exempt = [name for name, one in policy.classes.items() if one.caps is CapUse.EXEMPT]
    classes = {cap.message_class for cap in policy.caps if cap.message_class}
    topics = {cap.topic for cap in policy.caps if cap.topic}
    channels = {cap.channel.value for cap in policy.caps if cap.channel}
    named = sa.or_(
        sa.false(),
        *([message.c.message_class.in_(sorted(classes))] if classes else ()),
        *([message.c.topic.in_(sorted(topics))] if topics else ()),
        *([leg.c.channel.in_(sorted(channels))] if channels else ()),
    )
    return sa.and_(message.c.message_class.not_in(exempt), named)


def _reach(cap: Cap) -> timedelta:
    """How far back a contact can still count, with a margin where a calendar decides."""
    per = cap.per
    if isinstance(per, CalendarPeriod):
        return _PERIODS[per] + _MARGIN
    return per.elapsed if per.elapsed is not None else per.amount * _STEPS[per.unit] + _MARGIN
