"""What a page can only answer by a message: a new link to the own page, and the confirmation of a double opt-in.

Each is an event of the customer (``request.access``, ``request.confirm``) with a link; a rule that listens sends it.
Where no rule listens the page does not offer it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName, Event
from outbound.domain.ids import new_id
from outbound.domain.rule import EventTrigger
from outbound.services import preferences
from outbound.services.links import LinkMaker
from outbound.services.releases import Active
from outbound.storage import customers, events, people
from outbound.storage.database import Database

ACCESS: Final = "request.access"
CONFIRM: Final = "request.confirm"
LIFETIME: Final = timedelta(hours=48)
"""How long a confirmation is waited for."""
_AGAIN: Final = timedelta(minutes=10)
"""Asking again within this time sends nothing more: nobody fills another's mailbox by clicking (fault F84)."""
_PURPOSE: Final = "confirm"
_STAMP_BYTES: Final = 8
_SEPARATOR: Final = "\x1f"
_MOST: Final = 3
"""Customers who share an address and all get a link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What a confirmation link opens. ``address_hash``: of the address it was sent to, and no other."""

    customer_id: str
    topic: str
    channel: ChannelName
    address_hash: str
    expires: datetime


def listened(active: Active, event: str) -> bool:
    """Whether a rule answers this request."""
    return any(
        isinstance(rule.trigger, EventTrigger) and rule.trigger.event == event and not rule.draft
        for rule in active.ruleset.rules.values()
    )


def ask_access(database: Database, active: Active, links: LinkMaker, address: str, *, now: datetime) -> None:
    """Send a link to the own page to whoever has this e-mail address. Answers nothing: who is known stays unknown."""
    if not listened(active, ACCESS):
        return
    hashes = links.keyring.address_hashes(ChannelName.EMAIL, address.strip())
    with database.read() as connection:
        owners = customers.by_hash(connection, list(hashes))[:_MOST]
    for owner in owners:
        url = links.preferences(customer_id=owner, topic="", channel="email", message_id=new_id(now))
        _record(database, owner, ACCESS, {"channel": ChannelName.EMAIL.value, "link": url}, now=now)


def ask_confirmation(
    database: Database,
    links: LinkMaker,
    *,
    customer_id: str,
    wanted: Mapping[tuple[str, ChannelName], str],
    now: datetime,
) -> None:
    """Ask for the confirmation of each (topic, channel), which customers call by its title, at the address itself."""
    with database.read() as connection:
        person = people.load_people(connection, [customer_id]).get(customer_id)
    for (topic, channel), title in wanted.items():
        address = person.customer.address(channel) if person else None
        if address is None:
            continue
        digest = links.keyring.address_hash(channel, address.value)
        pending = Pending(
            customer_id=customer_id, topic=topic, channel=channel, address_hash=digest, expires=now + LIFETIME
        )
        data = {"channel": channel.value, "link": links.signed_address("c", _PURPOSE, _packed(pending)), "title": title}
        _record(database, customer_id, CONFIRM, data, now=now)


def read_confirmation(links: LinkMaker, token: str, *, now: datetime) -> Pending | None:
    """What the token opens; None for one that is not ours, or that is over. Changes nothing."""
    payload = links.read_signed(_PURPOSE, token)
    if payload is None:
        return None
    expires = datetime.fromtimestamp(int.from_bytes(payload[:_STAMP_BYTES]), UTC)
    customer_id, topic, channel, digest = payload[_STAMP_BYTES:].decode().split(_SEPARATOR)
    if now >= expires:
        return None
    return Pending(
        customer_id=customer_id, topic=topic, channel=ChannelName(channel), address_hash=digest, expires=expires
    )


def confirm(database: Database, links: LinkMaker, pending: Pending, *, evidence: Evidence, now: datetime) -> bool:
    """Grant what was confirmed, for the address it was confirmed from; False when the customer has another by now."""
    with database.read() as connection:
        person = people.load_people(connection, [pending.customer_id]).get(pending.customer_id)
    address = person.customer.address(pending.channel) if person else None
    if address is None or pending.address_hash not in links.keyring.address_hashes(pending.channel, address.value):
        return False
    preferences.grant(
        database,
        customer_id=pending.customer_id,
        topic=pending.topic,
        channel=pending.channel,
        evidence=replace(evidence, proof=f"opened the link sent to the address, good until {pending.expires:%FT%TZ}"),
        now=now,
        address=address.value,
    )
    return True


def _packed(pending: Pending) -> bytes:
    stamp = int(pending.expires.timestamp()).to_bytes(_STAMP_BYTES)
    parts = (pending.customer_id, pending.topic, pending.channel.value, pending.address_hash)
    return stamp + _SEPARATOR.join(parts).encode()


def _record(database: Database, customer_id: str, name: str, data: Mapping[str, str], *, now: datetime) -> None:
    """Write the event down, unless the customer asked for the same just now."""
    with database.write() as connection:
        recent: Sequence[Event] = events.history(connection, [customer_id], [name], since=now - _AGAIN).get(
            customer_id, []
        )
        if any(one.data.get("title") == data.get("title") for one in recent):
            return
        event = Event(
            id=f"{name}/{new_id(now)}", name=name, customer_id=customer_id, data=dict(data), at=now, received_at=now
        )
        events.append(connection, [event], now=now, source="page")
