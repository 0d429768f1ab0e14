"""One customer's whole record, and two records of one person made one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outbound.domain.consent import ConsentEvent, Suppression
from outbound.domain.customer import ChannelName, Customer
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.person import ConsentEntry
from outbound.services.preferences import refresh_zone
from outbound.storage import consents, customer_merge, customers, operations, people, suppressions, timeline
from outbound.storage.customer_merge import MergeResult
from outbound.storage.database import Database
from outbound.storage.timeline import Entry, Place

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the customer says now about a topic on a channel (empty: every channel)."""

    topic: str
    channel: str
    entry: ConsentEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything on record about one customer. ``older`` leads to the next page of the timeline, None at its end.

    ``also`` are the ids that were merged into this one.
    """

    customer: Customer
    consents: tuple[Standing, ...]
    ledger: tuple[ConsentEvent, ...]
    suppressions: tuple[Suppression, ...]
    timeline: tuple[Entry, ...]
    older: Place | None
    also: tuple[str, ...]


def find(database: Database, keyring: Keyring, text: str) -> tuple[str, ...]:
    """The ids that ``text`` may mean: an id, an e-mail address or an E.164 phone number; merged ids as survivors."""
    with database.read() as connection:
        if customers.exists(connection, text):
            return (customers.survivors(connection, [text]).get(text, text),)
        phone = "+" + "".join(c for c in text if c.isdigit())
        subjects = ((ChannelName.EMAIL, text), (ChannelName.SMS, phone))
        hashes = [h for channel, value in subjects for h in keyring.address_hashes(channel.value, value)]
        return tuple(customers.by_hash(connection, hashes))


def find_one(database: Database, keyring: Keyring, text: str) -> str:
    """The one customer ``text`` means. Raises OutboundError ``customer.unknown`` or ``customer.ambiguous``."""
    found = find(database, keyring, text)
    if not found:
        raise OutboundError("customer.unknown", "no such customer", "give an id, an e-mail address or a phone number")
    if len(found) > 1:
        raise OutboundError("customer.ambiguous", f"{len(found)} customers share it", f"give an id: {', '.join(found)}")
    return found[0]


def show(database: Database, keyring: Keyring, text: str, *, limit: int = PAGE, before: Place | None = None) -> Record:
    """The record of the customer that ``text`` means, with one page of the timeline, newest first.

    Raises OutboundError ``customer.unknown`` or ``customer.ambiguous``.
    """
    identity = find_one(database, keyring, text)
    with database.read() as connection:
        person = people.load_people(connection, [identity])[identity]
        also = tuple(customers.merged_from(connection, identity))
        hashes = [h for a in person.customer.addresses for h in keyring.address_hashes(a.channel.value, a.value)]
        entries = timeline.page(connection, [identity, *also], limit=limit, before=before)
        return Record(
            customer=person.customer,
            consents=_standings(person.consents),
            ledger=consents.ledger(connection, identity),
            suppressions=suppressions.of_hashes(connection, hashes),
            timeline=tuple(entries),
            older=entries[-1].place if len(entries) == limit else None,
            also=also,
        )


def merge(database: Database, *, loser: str, winner: str, by: str, now: datetime, dry_run: bool = False) -> MergeResult:
    """Make ``loser`` part of ``winner``: one person from now on, with everything that was sent and said.

    Who merged them is on record (C44), unless it was tried only.

    Raises OutboundError ``customer.unknown``, or ``customer.merge`` where the two are one already.
    """
    with database.write() as connection:
        for identity in (loser, winner):
            if not customers.exists(connection, identity):
                raise OutboundError("customer.unknown", f"no customer {identity!r}", "give the ids, not addresses")
        gone = customers.survivors(connection, [loser, winner])
        target = gone.get(winner, winner)
        if loser in gone or loser == target:
            raise OutboundError("customer.merge", "they are one customer already", "see `outbound customer show`")
        savepoint = connection.begin_nested()
        result = customer_merge.merge(connection, loser, target, now=now, source=f"merge by {by}")
        refresh_zone(connection, target)
        details = {"merged": loser, "cancelled": result.cancelled}
        operations.record(connection, kind="customer.merge", subject=target, by=by, note="", now=now, details=details)
        if dry_run:
            savepoint.rollback()
        else:
            savepoint.commit()
    return result


def _standings(entries: Mapping[tuple[str, str], ConsentEntry]) -> tuple[Standing, ...]:
    return tuple(
        Standing(topic=topic, channel=channel, entry=entry) for (topic, channel), entry in sorted(entries.items())
    )
