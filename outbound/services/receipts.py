"""Delivery receipts: noting one, and going on with the next channel where none came (``next_on: no_receipt``)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from outbound.domain.customer import AddressState, ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.policy import Policy
from outbound.storage import outbox_receipts, people
from outbound.storage.database import Database

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Which messages a receipt is about, and whether it said anything new."""

    message_ids: tuple[str, ...]
    new: bool


def note(database: Database, reference: str, *, at: datetime) -> Noted:
    """The provider says that it delivered what it knows by ``reference``, at ``at`` (UTC). Saying it again is nothing.

    Raises OutboundError ``receipt.unknown`` for a reference that no message has.
    """
    with database.write() as connection:
        ids, news = outbox_receipts.receive(connection, reference, at=at) if reference else ([], 0)
    if not ids:
        remedy = "check it; references are kept with the leg of a message once the provider has accepted it"
        raise OutboundError("receipt.unknown", f"no message has the provider's reference {reference!r}", remedy)
    return Noted(message_ids=tuple(ids), new=news > 0)


def move_on(database: Database, policy: Policy, channels: Collection[ChannelName], *, now: datetime) -> int:
    """Open the next leg of sent messages whose leg got no receipt in the policy's time. Answers how many.

    ``channels`` are those whose accounts report deliveries; on others nobody waits. A message that has expired,
    or that has no other channel with an address, stays as it is. So does one in ``uncertain``: only what a
    provider accepted waits for a receipt.
    """
    if policy.no_receipt is None or not channels:
        return 0
    moved = 0
    accepted_before = now - policy.no_receipt
    while True:
        with database.write() as connection:
            found = outbox_receipts.unreported(
                connection, channels, accepted_before=accepted_before, now=now, limit=_BATCH
            )
            persons = people.load_people(connection, [one.customer_id for one in found])
            pairs = []
            for one in found:
                person = persons.get(one.customer_id)
                usable = (
                    {a.channel for a in person.customer.addresses if a.state is AddressState.OK} if person else set()
                )
                following = next((c for c in one.channels if c not in one.tried and c in usable), None)
                if following is not None:
                    pairs.append((one, following))
            outbox_receipts.move_on(connection, pairs, now=now)
        moved += len(pairs)
        if len(found) < _BATCH or not pairs:
            return moved
