"""A customer asks for their record or for its end: confirmed from the mailbox that is theirs, then done.

``ask`` records ``request.export`` or ``request.erase`` with a signed link, and a rule sends it by e-mail; whoever
opens the link and confirms with a POST calls ``confirm``. Opening it changes nothing (fault F72). A token opens one
right of one customer for a day, and no other (F82); who is not known gets the same answer as who is (F83).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from outbound.domain.customer import ChannelName, Event
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.rule import EventTrigger
from outbound.services.links import LinkMaker
from outbound.services.releases import Active
from outbound.services.rights import erasing, exporting
from outbound.services.rights.exporting import Export, LinksOf
from outbound.storage import customers, events, people
from outbound.storage.database import Database

LIFETIME: Final = timedelta(hours=24)
_STAMP_BYTES: Final = 8
_AGAIN: Final = timedelta(minutes=10)
"""Asking again within this time sends no second mail: nobody fills another's mailbox by clicking."""


class Right(StrEnum):
    """What can be asked for."""

    EXPORT = "export"
    ERASE = "erase"


class Asked(StrEnum):
    """What came of asking. ``unanswered``: no rule listens, or the customer has no e-mail address."""

    SENT = "sent"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a token opens."""

    right: Right
    customer_id: str
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done: ``export`` holds the record, ``receipt`` the erasure's. ``later``: ask again in a minute."""

    right: Right
    export: Export | None = None
    receipt: erasing.Receipt | None = None
    later: bool = False


def ask(
    database: Database, active: Active, links: LinkMaker, *, customer_id: str, right: Right, now: datetime
) -> Asked:
    """Send the customer a link that confirms ``right``, through the rule that listens to ``request.<right>``."""
    name = f"request.{right.value}"
    listening = any(
        isinstance(rule.trigger, EventTrigger) and rule.trigger.event == name and not rule.draft
        for rule in active.ruleset.rules.values()
    )
    with database.write() as connection:
        identity = customers.survivors(connection, [customer_id]).get(customer_id, customer_id)
        person = people.load_people(connection, [identity]).get(identity)
        if not listening or person is None or person.customer.address(ChannelName.EMAIL) is None:
            return Asked.UNANSWERED
        if events.history(connection, [identity], [name], since=now - _AGAIN):
            return Asked.SENT
        event = Event(
            id=f"{name}/{new_id(now)}",
            name=name,
            customer_id=identity,
            data={"channel": ChannelName.EMAIL.value, "link": link(links, identity, right, now=now)},
            at=now,
            received_at=now,
        )
        events.append(connection, [event], now=now, source="preferences")
    return Asked.SENT


def link(links: LinkMaker, customer_id: str, right: Right, *, now: datetime) -> str:
    """The address of the page that asks for confirmation; it works for a day."""
    stamp = int((now + LIFETIME).timestamp()).to_bytes(_STAMP_BYTES)
    return links.signed_address("rights", right.value, stamp + customer_id.encode())


def offer(links: LinkMaker, token: str, *, now: datetime) -> Offer | None:
    """What ``token`` opens; None for one that is not ours, or that is over. Reads nothing, changes nothing."""
    for right in Right:
        payload = links.read_signed(right.value, token)
        if payload is not None and len(payload) > _STAMP_BYTES:
            expires = datetime.fromtimestamp(int.from_bytes(payload[:_STAMP_BYTES]), UTC)
            customer_id = payload[_STAMP_BYTES:].decode()
            return Offer(right=right, customer_id=customer_id, expires=expires) if now < expires else None
    return None


def confirm(database: Database, links: LinkMaker, token: str, *, message_links: LinksOf, now: datetime) -> Done | None:
    """Do what the customer confirmed; None where the token opens nothing (any more), as after an erasure."""
    found = offer(links, token, now=now)
    if found is None:
        return None
    try:
        match found.right:
            case Right.EXPORT:
                record = exporting.export(
                    database,
                    links.keyring,
                    who=found.customer_id,
                    links=message_links,
                    by="customer",
                    via="preferences",
                    now=now,
                )
                return Done(right=found.right, export=record)
            case Right.ERASE:
                receipt = erasing.erase(database, links.keyring, customer_id=found.customer_id, by="customer", now=now)
                return Done(right=found.right, receipt=receipt)
    except OutboundError as error:
        if error.code == "erase.in_flight":
            return Done(right=found.right, later=True)
        if error.code == "customer.unknown":
            return None
        raise
