"""What somebody heard from a customer at the counter, on the telephone or in a chat, written down beside the rest."""

from datetime import datetime
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.domain.message_events import NOTED
from outbound.services.preferences import require
from outbound.storage import events, interactions, outbox
from outbound.storage.customers import merged_from
from outbound.storage.database import Database

KINDS: Final = (InteractionKind.CALL, InteractionKind.VISIT, InteractionKind.CHAT, InteractionKind.OTHER)
"""What can be noted; replies and messages come in by themselves."""
LONGEST: Final = 10_000


def note(
    database: Database,
    *,
    customer_id: str,
    kind: InteractionKind,
    text: str,
    about: str = "",
    by: str,
    source: str,
    key: str = "",
    at: datetime | None = None,
    now: datetime,
) -> tuple[Interaction, bool]:
    """Write down a contact; answers it, and whether it is new: ``source`` giving the same ``key`` again is the same.

    ``about`` is the message of ours that it answers. Rules that listen to ``interaction.noted`` learn of it. Raises
    OutboundError ``customer.unknown``, ``interaction.text``, ``interaction.message`` or ``interaction.at``.
    """
    if not text.strip() or len(text) > LONGEST:
        raise OutboundError("interaction.text", f"a note has 1 to {LONGEST:,} characters", "write what was said")
    if at is not None and at > now:
        raise OutboundError("interaction.at", "a contact in the future cannot be noted", "give the time it happened")
    with database.write() as connection:
        identity = require(connection, customer_id)
        earlier = interactions.by_key(connection, source, key)
        if earlier is not None:
            return earlier, False
        leg = _leg(connection, identity, about) if about else 0
        contact = Interaction(
            id=new_id(now),
            customer_id=identity,
            kind=kind,
            channel=None,
            text=text.strip(),
            at=at or now,
            recorded_at=now,
            source=source,
            key=key,
            message_id=about,
            leg=leg,
            by=by,
        )
        if not interactions.add(connection, contact):
            known = interactions.by_key(connection, source, key)
            return known or contact, False
        events.append(connection, [_event(contact)], now=now, source=source)
    return contact, True


def listed(
    database: Database, customer_id: str, *, limit: int, before: tuple[datetime, str] | None
) -> list[Interaction]:
    """What a customer said, newest first. Raises OutboundError ``customer.unknown``."""
    with database.read() as connection:
        identity = require(connection, customer_id)
        also = merged_from(connection, identity)
        return interactions.of_customer(connection, [identity, *also], limit=limit, before=before)


def _leg(connection: Connection, customer_id: str, message_id: str) -> int:
    """The turn at which the message was. One of somebody else is as good as none."""
    found = outbox.by_ids(connection, [message_id]).get(message_id)
    mine = {customer_id, *merged_from(connection, customer_id)}
    if found is None or found.customer_id not in mine:
        remedy = "`outbound customer show --json` has the ids of the customer's messages"
        raise OutboundError("interaction.message", "the customer has no such message", remedy)
    return found.leg


def _event(contact: Interaction) -> Event:
    """The note as an event of the customer: what was said stays on the record, where it can be erased at once."""
    data = {"kind": contact.kind.value, "interaction": contact.id}
    if contact.message_id:
        data["message"] = contact.message_id
    return Event(
        id=f"{NOTED}/{contact.id}",
        name=NOTED,
        customer_id=contact.customer_id,
        data=data,
        at=contact.at,
        received_at=contact.recorded_at,
    )
