"""One customer written by another system: created, replaced or changed, typed against the schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName, Customer, Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.rule import Field, Schema
from outbound.domain.source import Span
from outbound.services.customer_reads import attributes
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.mapping import Source
from outbound.services.imports.values import Invalid, reader
from outbound.services.preferences import refresh_zone
from outbound.services.retyped import converted, fits
from outbound.storage import customers, locks, people, suppressions
from outbound.storage.customers import StoredAddress, Update
from outbound.storage.database import Database

_CHANNELS: Final = {"email": ChannelName.EMAIL, "phone": ChannelName.SMS}
_COLUMNS: Final = ("country", "language", "timezone")
_PLAIN: Final = Source(span=Span(file="", line=0, column=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The customer as it is now, whether it is new, and which attributes really changed."""

    customer: Customer
    new: bool
    changed: tuple[str, ...]


def write(
    database: Database,
    keyring: Keyring,
    schema: Schema,
    *,
    customer_id: str,
    fields: Mapping[str, Scalar],
    whole: bool,
    source: str,
    now: datetime,
) -> Written:
    """Store attributes of a customer, by their names in the schema; None removes one.

    ``whole`` creates who is not there and removes what is not named; without it only what is named changes, of a
    customer who must exist. How the person wants to be contacted (``preferences``) is untouched, except that the
    reserved language and timezone are attributes here too, and are kept where they are not named. Raises OutboundError
    ``customer.field`` and ``customer.unknown``.
    """
    with database.write() as connection:
        locks.customers(connection, [customer_id])
        identity = customers.survivors(connection, [customer_id]).get(customer_id, customer_id)
        before = people.load_people(connection, [identity]).get(identity)
        if before is None and not whole:
            raise OutboundError("customer.unknown", "no such customer", "create it first, or import it")
        wanted = dict(fields)
        if whole:
            known = attributes(before.customer) if before else {}
            wanted = dict.fromkeys(set(known) - {"language", "timezone"}) | wanted
            _require(schema, wanted)
        country = before.customer.country if before else None
        update = _update(keyring, schema, identity, wanted, country)
        changes = customers.apply(connection, update, source=source, now=now)
        _keep_blocks(connection, keyring, update)
        refresh_zone(connection, identity)
        after = people.load_people(connection, [identity])[identity].customer
    return Written(customer=after, new=before is None, changed=tuple(sorted(c.attribute for c in changes)))


def _require(schema: Schema, wanted: Mapping[str, Scalar]) -> None:
    for name, field in schema.customer.items():
        if field.required and name != "id" and wanted.get(name) in {None, ""}:
            raise OutboundError("customer.field", f"a customer needs {name!r}", "rules/schema.yaml requires it")


def _update(
    keyring: Keyring, schema: Schema, identity: str, wanted: Mapping[str, Scalar], country: str | None
) -> Update:
    columns: dict[str, Any] = {}
    values: dict[str, Scalar] = {}
    addresses: dict[ChannelName, StoredAddress | None] = {}
    for name, value in sorted(wanted.items()):  # country comes before phone, which needs it
        declared = schema.customer.get(name)
        if declared is None or name == "id":
            known = ", ".join(sorted(set(schema.customer) - {"id"}))
            raise OutboundError("customer.field", f"a customer has no attribute {name!r}", f"declared are: {known}")
        if declared.required and value in {None, ""}:
            raise OutboundError("customer.field", f"a customer needs {name!r}", "rules/schema.yaml requires it")
        if name in _CHANNELS:
            addresses[_CHANNELS[name]] = _address(keyring, name, value, country)
        elif name in _COLUMNS:
            columns[name] = None if value is None else _reserved(name, value, declared)
            country = columns[name] if name == "country" else country
        else:
            values[name] = None if value is None else _typed(name, value, declared)
    return Update(customer_id=identity, columns=columns, attributes=values, addresses=addresses)


def _typed(name: str, value: Scalar, declared: Field) -> Scalar:
    typed = converted(value, declared.type)
    if typed is None or not fits(typed, declared):
        wanted = f"one of {', '.join(declared.values)}" if declared.values else f"a {declared.type}"
        raise OutboundError("customer.field", f"{name!r} is not {wanted}", "send it as rules/schema.yaml declares it")
    return typed


def _reserved(name: str, value: Scalar, declared: Field) -> Scalar:
    try:
        return reader(name, _PLAIN, declared)(_text(name, value))
    except Invalid as error:
        raise _invalid(name, error) from None


def _address(keyring: Keyring, name: str, value: Scalar, country: str | None) -> StoredAddress | None:
    if value is None:
        return None
    channel, text = _CHANNELS[name], _text(name, value)
    try:
        if channel is ChannelName.EMAIL:
            normal = read_email(text)
            return StoredAddress(channel=channel, value=normal, hash=keyring.address_hash(channel.value, normal))
        normal, state = read_phone(text, country)
    except Invalid as error:
        raise _invalid(name, error) from None
    return StoredAddress(channel=channel, value=normal, hash=keyring.address_hash(channel.value, normal), state=state)


def _text(name: str, value: Scalar) -> str:
    if not isinstance(value, str) or not value.strip():
        raise OutboundError("customer.field", f"{name!r} is not a text", "send a text, or null to remove it")
    return value.strip()


def _invalid(name: str, error: Invalid) -> OutboundError:
    """What the reader says of a value; it never quotes it."""
    return OutboundError("customer.field", f"{name!r} is no such thing: {error}", "correct it, or send null")


def _keep_blocks(connection: Connection, keyring: Keyring, update: Update) -> None:
    """A block under an older key still holds for the address that was written under the newest (C41)."""
    for channel, address in update.addresses.items():
        if address is not None:
            suppressions.carry_over(connection, channel, keyring.address_hashes(channel.value, address.value))
