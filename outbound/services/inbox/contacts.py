"""What people write to us: on their timeline, threaded to the message it answers, and an end to escalation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.ids import new_id
from outbound.domain.incoming import IncomingMessage
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.domain.keyring import Keyring
from outbound.engine.reply_words import Asked, asked, own_words
from outbound.services.inbox.settling import message_event
from outbound.storage import customers, delivery_events, events, interactions, outbox_answers, uncertain
from outbound.storage.delivery_events import Subject

_ANSWERS_WITHIN = timedelta(days=14)
"""A text carries no reference: it answers the newest one to that number in this time."""

_LONGEST = 20_000
REPLIED = "message.replied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose contact it is and what it answers. ``customers``: all who have the address."""

    customer_id: str
    customers: tuple[str, ...]
    about: Subject | None


def place(connection: Connection, said: IncomingMessage, keyring: Keyring, *, now: datetime) -> Place:
    """Find the customer and the message: by what the contact refers to, else by the address it came from."""
    owners = tuple(customers.by_hash(connection, keyring.address_hashes(said.channel.value, said.sender)))
    about = _thread(connection, said, owners, now=now)
    customer_id = about.customer_id if about else (owners[0] if owners else "")
    survivor = customers.survivors(connection, [customer_id]).get(customer_id, customer_id) if customer_id else ""
    return Place(customer_id=survivor, customers=owners, about=about)


def record(
    connection: Connection, said: IncomingMessage, found: Place, *, inbox_id: str, attention: str = "", now: datetime
) -> bool:
    """Keep the contact and what follows from it. False: it was kept before, and nothing follows again.

    ``attention``: why a person should read it, where that is known already.
    """
    about = found.about
    wish = wants(said, found)
    contact = Interaction(
        id=new_id(now),
        customer_id=found.customer_id,
        kind=InteractionKind.REPLY if about else InteractionKind.MESSAGE,
        channel=said.channel,
        text=(own_words(said.text) if said.channel is ChannelName.EMAIL else said.text)[:_LONGEST],
        at=min(said.at or now, now),
        recorded_at=now,
        source=said.provider,
        key=(said.message_id if said.channel is ChannelName.EMAIL else "") or said.key or inbox_id,
        subject=said.subject[:500],
        address=said.sender[:320],
        message_id=about.message_id if about else "",
        leg=about.leg if about else 0,
        attention=attention or _attention(found, wish),
        details=_details(said, wish),
    )
    if not interactions.add(connection, contact, inbox_id=inbox_id):
        return False
    if about is not None:
        _answer(connection, about, contact, now=now)
    return True


def wants(said: IncomingMessage, found: Place) -> Asked:
    """Whether a mail asks to hear no more. Texts have words of their own (``policy.sms_words``)."""
    if said.channel is not ChannelName.EMAIL:
        return Asked.NOTHING
    return asked(subject=said.subject, text=said.text, is_reply=found.about is not None)


def _thread(connection: Connection, said: IncomingMessage, owners: Sequence[str], *, now: datetime) -> Subject | None:
    if said.channel is ChannelName.SMS:
        since = now - _ANSWERS_WITHIN
        return delivery_events.last_to(connection, said.channel, said.sender, since=since, customer_ids=owners)
    provider, kind = said.provider, DeliveryKind.UNKNOWN
    asked_for = [DeliveryEvent(provider=provider, kind=kind, ours=said.ours)] if said.ours else []
    asked_for += [DeliveryEvent(provider=provider, kind=kind, reference=one) for one in said.references]
    found = delivery_events.subjects(connection, asked_for)
    return next((found[pair] for one in asked_for if (pair := (one.ours, one.reference)) in found), None)


def _answer(connection: Connection, about: Subject, contact: Interaction, *, now: datetime) -> None:
    """Who answers has the message: it arrived, it is no more uncertain, and no further leg is opened."""
    delivery_events.receive(connection, {(about.message_id, about.leg): contact.at})
    mine = uncertain.lock(connection, [about.message_id])
    uncertain.was_sent(connection, mine, detail=f"{contact.source} reply", now=now)
    outbox_answers.stop_escalation(connection, about.message_id, now=now)
    told = message_event(REPLIED, about, at=contact.at, now=now, identity=contact.id)
    events.append(connection, [told], now=now, fire=True, source=contact.source)


def _attention(found: Place, wish: Asked) -> str:
    if not found.customer_id:
        return "unknown sender"
    if found.about is None and len(found.customers) > 1:
        return "shared address"
    return "unsubscribe?" if wish is Asked.UNCLEAR else ""


def _details(said: IncomingMessage, wish: Asked) -> dict[str, object]:
    found: dict[str, object] = {"to": said.envelope_recipient or said.recipient, "message_id": said.message_id}
    if said.references:
        found["in_reply_to"] = said.references[0]
    if said.spam:
        found["spam"] = True
    if wish is Asked.STOP:
        found["unsubscribed"] = True
    return {name: value for name, value in {**found, **said.details}.items() if value}
