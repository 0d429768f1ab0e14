"""Customers as other systems read them: one, a page of them, or those who have an address."""

from collections.abc import Sequence

from outbound.domain.customer import AddressState, ChannelName, Customer, Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.engine.timing.zones import zone_names
from outbound.services.preferences import require
from outbound.storage import customers, people, timeline
from outbound.storage.customers import ADDRESS_NAMES
from outbound.storage.database import Database
from outbound.storage.timeline import Entry, Place


def one(database: Database, customer_id: str) -> Customer:
    """One customer; a merged id leads to the survivor. Raises OutboundError ``customer.unknown``."""
    with database.read() as connection:
        identity = require(connection, customer_id)
        return people.load_people(connection, [identity])[identity].customer


def page(database: Database, *, after: str, limit: int) -> list[Customer]:
    """The next customers in the order of their ids, merged ones left out."""
    with database.read() as connection:
        ids = customers.ids_after(connection, after, limit=limit)
        found = people.load_people(connection, ids)
    return [found[identity].customer for identity in ids]


def with_address(database: Database, keyring: Keyring, email: str | None, phone: str | None) -> Sequence[str]:
    """The ids of those who have one of the addresses."""
    given = ((ChannelName.EMAIL, email), (ChannelName.SMS, phone))
    hashes = [h for channel, value in given if value for h in keyring.address_hashes(channel.value, value)]
    with database.read() as connection:
        return customers.by_hash(connection, hashes)


def history(database: Database, customer_id: str, *, limit: int, before: Place | None) -> tuple[str, list[Entry]]:
    """A page of the timeline, newest first, with the id it is kept under. Raises ``customer.unknown``."""
    with database.read() as connection:
        identity = require(connection, customer_id)
        also = customers.merged_from(connection, identity)
        return identity, timeline.page(connection, [identity, *also], limit=limit, before=before)


def attributes(customer: Customer) -> dict[str, Scalar]:
    """Everything the schema has a name for and the customer has a value of."""
    stated = {
        "country": customer.country,
        "language": customer.preference.language,
        "timezone": customer.preference.timezone,
    }
    addresses = {ADDRESS_NAMES.get(a.channel, a.channel.value): a.value for a in customer.addresses}
    return {**customer.attributes, **addresses, **{name: value for name, value in stated.items() if value}}


def unreachable(customer: Customer) -> list[str]:
    """The attributes that hold an address which is kept and never used."""
    lost = (a.channel for a in customer.addresses if a.state is AddressState.UNREACHABLE)
    return sorted(ADDRESS_NAMES.get(channel, channel.value) for channel in lost)


def require_zone(name: str | None) -> None:
    """Raise OutboundError ``preference.timezone`` for a zone that there is not."""
    if name is not None and name not in zone_names():
        raise OutboundError("preference.timezone", "there is no such time zone", "write it as Europe/Rome")
