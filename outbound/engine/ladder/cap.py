"""Gate ``cap``: the customer has had enough of this class, topic or channel for now (fault C32)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold
from outbound.domain.policy import Cap, CapUse, Policy, Topic
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.traffic import Contact
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict
from outbound.engine.timing.caps import counts_until, opens_at
from outbound.engine.timing.zones import customer_source, resolve_zones


def can_bind(policy: Policy, topic: Topic, channels: Iterable[ChannelName]) -> bool:
    """Whether any cap could ever stop a message of ``topic`` on ``channels``; else nobody need count contacts."""
    if topic.message_class.caps is not CapUse.APPLY:
        return False
    usable = frozenset(channels)
    return any(_concerns(one, topic) and one.channel in (None, *usable) for one in policy.caps)


def cap(context: Context) -> Verdict:
    """Hold until the caps of the class and topic open, or close the channels whose own cap is reached.

    Of several the one that opens last gives the reason. A class that is exempt or only counted passes.
    """
    topic = context.candidate.topic
    if topic.message_class.caps is not CapUse.APPLY:
        if context.notes is not None:
            context.notes.append("no cap applies")
        return PASS
    held: Hold | None = None
    closed: dict[ChannelName, Hold] = {}
    for one in context.policy.caps:
        if not _binds(one, context):
            continue
        until = _opening(one, context)
        if until is None:
            continue
        hold = Hold(until=until, reason=Reason(ReasonCode.CAP, one.name))
        if one.channel is not None:
            earlier = closed.get(one.channel)
            closed[one.channel] = hold if earlier is None or earlier.until < until else earlier
        elif held is None or held.until < until:
            held = hold
    if held is not None:
        return held
    if context.notes is not None and not context.notes:
        context.notes.append("no cap applies")
    return Pass(closed=closed) if closed else PASS


def _concerns(one: Cap, topic: Topic) -> bool:
    """Whether messages of ``topic`` obey this cap, on the channel that it names."""
    return one.message_class in (None, topic.message_class.name) and one.topic in (None, topic.name)


def _binds(one: Cap, context: Context) -> bool:
    """Whether this cap may stop this message: it is for all, or for people like this one."""
    if one.fewer and not context.person.customer.preference.fewer:
        return False
    return _concerns(one, context.candidate.topic) and (one.channel is None or one.channel in context.channels)


def _opening(one: Cap, context: Context) -> datetime | None:
    contacts = context.traffic.contacts
    counted = _counted(one, contacts, context) if contacts else ()
    if context.notes is None and len(counted) < one.max:
        return None
    zone = resolve_zones(customer_source(context.person.customer), context.policy).at
    if context.notes is not None:
        still = sum(counts_until(contact, one.per, zone) > context.at for contact in counted)
        context.notes.append(f"{one.name}: {still} of {one.max}")
    return opens_at(counted, one, at=context.at, zone=zone)


def _counted(one: Cap, contacts: Sequence[Contact], context: Context) -> Sequence[datetime]:
    """When the contacts that ``one`` counts were. A message never counts against itself.

    Towards a channel each leg is a contact, towards a class or a topic each message: of one that went on to
    another channel, for want of a receipt, the newest leg.
    """
    classes, own = context.policy.classes, context.candidate.message_id
    newest: dict[str, datetime] = {}
    counted: list[datetime] = []
    for contact in contacts:
        known = classes.get(contact.message_class)
        if (
            (own and contact.message_id == own)
            or (known is not None and known.caps is CapUse.EXEMPT)
            or one.message_class not in (None, contact.message_class)
            or one.topic not in (None, contact.topic)
            or one.channel not in (None, contact.channel)
        ):
            continue
        if one.channel is None and contact.message_id:
            before = newest.get(contact.message_id, contact.at)
            newest[contact.message_id] = max(before, contact.at)
        else:
            counted.append(contact.at)
    return [*counted, *newest.values()]
