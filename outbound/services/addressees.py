"""Whom `outbound send --to` means: the customer who has the address, or a new one about whom nothing else is known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from outbound.domain.customer import AddressState, ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.message import Lane
from outbound.engine.timing.zones import zone_source
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.values import Invalid
from outbound.services.releases import Active
from outbound.services.sends import Recipient, SendReport, script_rule
from outbound.storage import customers
from outbound.storage.customers import StoredAddress, Update
from outbound.storage.database import Database

_SOURCE = "send --to"
_HASH_DIGITS = 24


class Start(Protocol):
    """``sends.send`` with everything that a call says but whom it is for."""

    def __call__(self, recipients: Sequence[Recipient], *, dry_run: bool) -> SendReport:
        """Start the rule for ``recipients``."""
        ...


def send_to(
    database: Database,
    active: Active,
    keyring: Keyring,
    start: Start,
    *,
    rule: str,
    addresses: Sequence[str],
    dry_run: bool = False,
    now: datetime,
) -> SendReport:
    """Start a script rule for e-mail addresses and phone numbers, as ``send`` does for customers.

    A known address is its customer, whose wishes hold; an unknown one becomes a customer with nothing but the address,
    the same one the next time. Only for rules of transactional and security topics: nobody consents by being written
    to (rules.md 1.9). Raises OutboundError as ``send`` does, and ``send.to`` for another topic, ``send.address`` for
    what is no address, ``customer.ambiguous`` for one that several customers share; then nobody was made.
    """
    called = script_rule(active, rule, now)
    message_class = active.ruleset.policy.topics[called.topic].message_class
    if message_class.lane is not Lane.EXPRESS:
        message = f"{rule} is {message_class.name}: only transactional and security messages go to a bare address"
        raise OutboundError("send.to", message, "import the customer with their consent, then name them by --customer")
    ids: list[str] = []
    new: dict[str, StoredAddress] = {}
    with database.read() as connection:
        for address in {one.hash: one for one in (_address(text, keyring) for text in addresses)}.values():
            owner = _owner(connection, address, keyring)
            ids.append(owner or f"to-{address.hash[:_HASH_DIGITS]}")
            if not owner:
                new[ids[-1]] = address
    recipients = [Recipient(customer_id=one) for one in ids]
    report = start(recipients, dry_run=True)  # whatever is wrong with the call is said before anybody is made
    if not dry_run:
        with database.write() as connection:
            for customer_id, address in new.items():
                _create(connection, customer_id, address, now)
        report = start(recipients, dry_run=False)
    report.unknown = [one for one in report.unknown if one.customer_id not in new]
    report.created = len(new)
    return report


def _address(text: str, keyring: Keyring) -> StoredAddress:
    remedy = "give an e-mail address, or a phone number such as +393401234567"
    try:
        if "@" in text:
            channel, value = ChannelName.EMAIL, read_email(text.strip())
        else:
            channel = ChannelName.SMS
            value, state = read_phone(text.strip(), None)
            if state is not AddressState.OK:
                raise OutboundError("send.address", "that phone number reaches nobody", remedy)
    except Invalid as error:
        raise OutboundError("send.address", f"what --to names is no address: {error}", remedy) from error
    return StoredAddress(channel=channel, value=value, hash=keyring.address_hash(channel, value))


def _owner(connection: Connection, address: StoredAddress, keyring: Keyring) -> str:
    found = customers.by_hash(connection, keyring.address_hashes(address.channel, address.value))
    if len(found) > 1:
        remedy = f"name one of them by --customer: {', '.join(found)}"
        raise OutboundError("customer.ambiguous", f"{len(found)} customers share it", remedy)
    return found[0] if found else ""


def _create(connection: Connection, customer_id: str, address: StoredAddress, now: datetime) -> None:
    update = Update(customer_id=customer_id, addresses={address.channel: address})
    customers.apply(connection, update, source=_SOURCE, now=now)
    phone = address.value if address.channel is ChannelName.SMS else None
    customers.set_zone_source(connection, {customer_id: zone_source(None, None, phone)})
