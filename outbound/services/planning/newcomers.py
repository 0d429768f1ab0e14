"""A customer first heard of in an event (``unknown_customer: create``): who they are is what the event declares."""

from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.customer import AddressState, ChannelName, Event
from outbound.domain.keyring import Keyring
from outbound.engine.timing.zones import zone_source
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.values import Invalid
from outbound.storage import customers
from outbound.storage.customers import StoredAddress, Update

_COLUMNS = ("country", "language", "timezone")


def create_customer(connection: Connection, event: Event, keyring: Keyring, *, now: datetime) -> bool:
    """Create the event's customer from its ``email``, ``phone``, ``country``, ``language`` and ``timezone``.

    False, and nothing is created, when the event holds no usable contact: the rule then waits for the customer
    as with ``hold``. No consent follows from an event.
    """
    if customers.exists(connection, event.customer_id):
        return False
    columns = {name: text for name in _COLUMNS if (text := _text(event, name))}
    addresses = {a.channel: a for a in (_email(event, keyring), _phone(event, columns.get("country"), keyring)) if a}
    if not addresses:
        return False
    update = Update(customer_id=event.customer_id, columns=columns, addresses=addresses)
    customers.apply(connection, update, source=f"event {event.id}", now=now)
    phone = addresses.get(ChannelName.SMS)
    source = zone_source(columns.get("timezone"), columns.get("country"), phone.value if phone else None)
    customers.set_zone_source(connection, {event.customer_id: source})
    return True


def _email(event: Event, keyring: Keyring) -> StoredAddress | None:
    try:
        value = read_email(_text(event, "email"))
    except Invalid:
        return None
    return StoredAddress(channel=ChannelName.EMAIL, value=value, hash=keyring.address_hash(ChannelName.EMAIL, value))


def _phone(event: Event, country: str | None, keyring: Keyring) -> StoredAddress | None:
    text = _text(event, "phone")
    if not text:
        return None
    try:
        value, state = read_phone(text, country)
    except Invalid:
        return None
    if state is not AddressState.OK:
        return None
    return StoredAddress(channel=ChannelName.SMS, value=value, hash=keyring.address_hash(ChannelName.SMS, value))


def _text(event: Event, name: str) -> str:
    value = event.data.get(name)
    return value.strip() if isinstance(value, str) else ""
