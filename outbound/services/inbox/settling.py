"""What news of a message does: settle it, block an address, move a leg on, tell the rules. Each once, in any order.

Everything here only ever goes one way (fault F59): an uncertain message becomes sent, a receipt takes the earliest
time, a block stands, an event has the id of its leg, a leg is left once. So the order of the news does not matter.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.consent import Suppression
from outbound.domain.customer import AddressState, ChannelName, Event
from outbound.domain.delivery import BounceKind, DeliveryKind, RejectReason
from outbound.domain.keyring import Keyring
from outbound.domain.message import MessageState
from outbound.domain.message_events import BOUNCED
from outbound.domain.outcome import MAILBOX_UNUSABLE
from outbound.domain.policy import Policy
from outbound.services.blocks import blocks
from outbound.storage import bounces, delivery_events, events, outbox_receipts, people, suppressions, uncertain
from outbound.storage.delivery_events import Fact, Subject
from outbound.storage.outbox_receipts import Unreported

K = DeliveryKind

_ARRIVED = frozenset({K.DELIVERED, K.OPENED, K.CLICKED, K.COMPLAINED, K.UNSUBSCRIBED, K.AUTORESPONDED})
"""Who says so has the message: it was delivered, whatever else it says."""

_CAME_BACK = frozenset({K.BOUNCED, K.REJECTED, K.FAILED})

_EVENTS = {
    K.DELIVERED: "message.delivered",
    K.OPENED: "message.opened",
    K.CLICKED: "message.clicked",
    K.BOUNCED: BOUNCED,
    K.REJECTED: BOUNCED,
    K.FAILED: BOUNCED,
    K.COMPLAINED: "message.complained",
    K.UNSUBSCRIBED: "message.unsubscribed",
}
_BOUNCED = "bounced"


def settle(connection: Connection, facts: Sequence[Fact], *, policy: Policy, keyring: Keyring, now: datetime) -> None:
    """Let facts about known legs have their effect. Their messages and customers are locked."""
    known = [(fact, fact.subject) for fact in facts if fact.subject is not None and fact.proven]
    stopped = [
        block
        for fact, about in known
        for block in _blocks(connection, fact, about, policy=policy, keyring=keyring, now=now)
    ]
    if stopped:
        suppressions.add(connection, stopped)
    arrived: dict[tuple[str, int], datetime] = {}
    for fact, about in known:
        if fact.event.kind in _ARRIVED and not fact.automated:
            place = (about.message_id, about.leg)
            arrived[place] = min(fact.at, arrived.get(place, fact.at))
    delivery_events.receive(connection, arrived)
    told = [event for fact, about in known if (event := _told(fact, about, now))]
    events.append(connection, told, now=now, fire=True, source="delivery")
    prove(connection, now=now)
    _move_on(connection, {about.message_id: about for fact, about in known if _leaves(fact, about, policy)}, now=now)


def prove(connection: Connection, *, now: datetime) -> int:
    """Uncertain → sent for messages of whose leg there is news: the provider has them (delivery.md 2.6)."""
    found = delivery_events.proofs(connection)
    mine = uncertain.lock(connection, sorted(found)) if found else []
    for message_id in mine:
        uncertain.was_sent(connection, [message_id], detail=found[message_id], now=now)
    return len(mine)


def message_event(name: str, about: Subject, *, at: datetime, now: datetime, identity: str = "") -> Event:
    """What became of a message, as an event of its customer: once for each leg, unless it has an identity."""
    data = {"rule": about.rule, "message": about.message_id, "topic": about.topic, "channel": about.channel.value}
    return Event(
        id=f"{name}/{identity or f'{about.message_id}.{about.leg}'}",
        name=name,
        customer_id=about.customer_id,
        data={**data, "step": about.step} if about.step else data,
        at=min(at, now),
        received_at=now,
    )


def block_orphan(
    fact: Fact, *, address: str, channel: ChannelName, policy: Policy, keyring: Keyring, now: datetime
) -> tuple[Suppression, ...]:
    """The blocks that proven news brings although no message of ours is known: the address is the same."""
    return blocks(_word(fact), channel=channel, address=address, policy=policy, keyring=keyring, now=now)


def _word(fact: Fact) -> str:
    """What the policy calls the news, "" for what blocks nothing. Only a hard bounce blames the address."""
    event = fact.event
    if event.kind is K.COMPLAINED:
        return "complaint"
    if event.reason is RejectReason.UNSUBSCRIBED and event.kind in _CAME_BACK:
        return "opted_out"
    if event.kind in _CAME_BACK and event.bounce is BounceKind.HARD:
        return "bounced.hard"
    return ""


def _blocks(
    connection: Connection, fact: Fact, about: Subject, *, policy: Policy, keyring: Keyring, now: datetime
) -> tuple[Suppression, ...]:
    """On the address the message went to, whatever address the news names, or the customer has now (F66)."""
    event = fact.event
    word = _word(fact)
    if not word and event.bounce is BounceKind.SOFT and event.code in MAILBOX_UNUSABLE:
        hashes = keyring.address_hashes(about.channel.value, about.address)
        days = delivery_events.soft_days(connection, hashes, codes=MAILBOX_UNUSABLE, since=now - bounces.WITHIN)
        word = "bounced.soft" if len(days | {fact.at.date()}) >= bounces.TIMES else ""
    return blocks(word, channel=about.channel, address=about.address, policy=policy, keyring=keyring, now=now)


def _told(fact: Fact, about: Subject, now: datetime) -> Event | None:
    """The event that rules may listen to. Machines' opens and clicks are none (F74)."""
    name = _EVENTS.get(fact.event.kind)
    if name is None or fact.automated:
        return None
    told = message_event(name, about, at=fact.at, now=now)
    bounce = fact.event.bounce
    return replace(told, data={**told.data, "bounce": bounce.value}) if name == BOUNCED and bounce else told


def _leaves(fact: Fact, about: Subject, policy: Policy) -> bool:
    """Whether the message goes on to its next channel: after a hard bounce, or a text that failed for good."""
    if _BOUNCED not in policy.next_on or fact.event.kind not in _CAME_BACK:
        return False
    return fact.event.bounce is BounceKind.HARD or about.channel is ChannelName.SMS


def _move_on(connection: Connection, subjects: Mapping[str, Subject], *, now: datetime) -> None:
    """Open the next leg of sent messages that came back: never one whose customer answered, never one that is over."""
    if not subjects:
        return
    current = {i: one for i in sorted(subjects) if (one := delivery_events.of_leg(connection, i)) is not None}
    persons = people.load_people(connection, sorted({one.customer_id for one in current.values()}))
    answered = delivery_events.answered(connection, sorted(current))
    moved = []
    for message_id, one in current.items():
        ready = one.state is MessageState.SENT and one.leg == one.current_leg and not one.moved_on and one.expires > now
        if not ready or one.leg != subjects[message_id].leg or message_id in answered:
            continue
        person = persons.get(one.customer_id)
        usable = {a.channel for a in person.customer.addresses if a.state is AddressState.OK} if person else set()
        tried = delivery_events.tried(connection, message_id)
        following = next_channel(one.channels, tried, usable)
        if following is not None:
            left = Unreported(
                message_id=message_id,
                customer_id=one.customer_id,
                leg=one.leg,
                channels=one.channels,
                tried=frozenset(tried),
            )
            moved.append((left, following))
    outbox_receipts.move_on(connection, moved, now=now, why=_BOUNCED)


def next_channel(
    channels: Sequence[ChannelName], tried: Collection[ChannelName], usable: Collection[ChannelName]
) -> ChannelName | None:
    """The next channel of a waterfall that was not tried and has an address."""
    return next((channel for channel in channels if channel not in tried and channel in usable), None)
