"""Whom an explanation is about: one customer as they are, as they were, or as they would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause
from outbound.domain.customer import (
    Address,
    ChannelName,
    Customer,
    Event,
    OwnQuietHours,
    Pause,
    Preference,
    Scalar,
)
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.person import Person
from outbound.domain.rule import Schema
from outbound.domain.traffic import QUIET, Traffic
from outbound.engine.conditions import needs_history
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.conditions.types import type_word
from outbound.engine.ladder import Switches
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import Zones, customer_source, resolve_zones, zone_source
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.values import Invalid
from outbound.services.releases import Active
from outbound.services.retyped import converted
from outbound.storage import customer_past, customers, run_limits, suppressions, switches, traffic
from outbound.storage import events as event_log
from outbound.storage.customers import ADDRESS_NAMES
from outbound.storage.people import load_people

_CHANNELS = {name: channel for channel, name in ADDRESS_NAMES.items()} | {
    channel.value: channel for channel in ChannelName if channel not in ADDRESS_NAMES
}
"""What history calls the address of a channel."""
_STATED = ("preferred_channel", "language", "timezone", "quiet_from", "quiet_to", "pause_from", "pause_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person at a moment under a release. ``past``: the moment lies behind us, and what came later is left out.

    ``ids`` are all the customer ever had, ``now`` the moment asked about.
    """

    connection: Connection
    active: Active
    person: Person
    ids: tuple[str, ...]
    now: datetime
    past: bool
    switches: Switches

    @property
    def customer(self) -> Customer:
        """The person's profile."""
        return self.person.customer

    @property
    def zones(self) -> Zones:
        """Where the person is."""
        return resolve_zones(customer_source(self.customer), self.active.ruleset.policy)

    def history(self, names: Sequence[str]) -> Sequence[Event]:
        """The person's events of these names that were known by then, oldest first."""
        found = event_log.history(self.connection, self.ids, names)
        everything = sorted((event for some in found.values() for event in some), key=lambda event: event.at)
        return [event for event in everything if not self.past or event.received_at <= self.now]

    def facts(self, clauses: Sequence[Clause], *, event: Mapping[str, Scalar] | None = None) -> Facts:
        """What conditions look at, on the person's own clock."""
        zone = self.zones.at
        return Facts(
            customer=customer_values(self.customer),
            event=event,
            history=self.history(sorted(needs_history(clauses))),
            now=self.now,
            today=local_day(self.now, zone),
            zone=zone,
        )

    def traffic(self) -> Traffic:
        """The contacts that caps count, up to the moment asked about."""
        found = traffic.load(self.connection, self.active.ruleset.policy, self.ids, now=self.now)
        contacts = tuple(c for some in found.values() for c in some.contacts if not self.past or c.at <= self.now)
        return Traffic(contacts=contacts) if contacts else QUIET


def load_subject(
    connection: Connection,
    active: Active,
    keyring: Keyring,
    customer_id: str,
    *,
    now: datetime,
    past: bool,
    what_if: Mapping[str, Scalar],
) -> Subject:
    """The person at ``now``, with ``what_if`` in place of what is on record.

    Raises OutboundError ``explain.customer`` for one who was not on record then, ``customer.unknown`` for nobody.
    """
    ids = (customer_id, *customers.merged_from(connection, customer_id))
    person = load_people(connection, [customer_id]).get(customer_id)
    if person is None:
        raise OutboundError("customer.unknown", "no such customer", "give an id, an e-mail address or a phone number")
    if past and not customer_past.known_at(connection, customer_id, now):
        message = f"customer {customer_id!r} was not on record at {now:%Y-%m-%d %H:%M} UTC"
        raise OutboundError("explain.customer", message, "choose a later --at; see `outbound customer show`")
    if past:
        person = as_of(connection, person, now)
    if what_if:
        person = with_values(person, what_if)
    if past or what_if.keys() & _CHANNELS.keys():
        blocks = _blocks(connection, keyring, person.customer, upto=now if past else None)
        person = replace(person, suppressed=blocks)
    paused = {key: switch.reason for key, switch in switches.switches(connection).items()}
    return Subject(
        connection=connection,
        active=active,
        person=person,
        ids=ids,
        now=now,
        past=past,
        switches=Switches() if past else Switches(paused=paused, limited=run_limits.limited(connection)),
    )


def as_of(connection: Connection, person: Person, at: datetime) -> Person:
    """The person as they were at ``at``: profile, addresses and consents. Blocks are asked for by address."""
    was = with_values(person, customer_past.values_before(connection, person.customer.id, at))
    return replace(was, consents=customer_past.consents_at(connection, person.customer.id, at))


def with_values(person: Person, values: Mapping[str, Any]) -> Person:
    """The person with other values, named as history names them; None is missing."""
    if not values:
        return person
    customer = person.customer
    kept = {name: value for name, value in customer.attributes.items() if name not in values}
    new = {n: v for n, v in values.items() if n not in _CHANNELS and n not in _STATED and n != "country"}
    addresses = [a for a in customer.addresses if _name(a.channel) not in values]
    addresses += [Address(channel=_CHANNELS[n], value=str(v)) for n, v in values.items() if n in _CHANNELS and v]
    preference = _preference(customer.preference, values)
    country = values.get("country", customer.country)
    phone = next((a.value for a in addresses if a.channel is ChannelName.SMS), None)
    changed = replace(
        customer,
        country=country,
        attributes={**kept, **{name: value for name, value in new.items() if value is not None}},
        addresses=tuple(addresses),
        preference=preference,
        zone_source=zone_source(preference.timezone, country, phone),
    )
    return replace(person, customer=changed)


def assumed(schema: Schema, given: Mapping[str, str]) -> dict[str, Scalar]:
    """The values of ``--what-if`` by their types; an empty one is missing. Raises OutboundError ``explain.what_if``."""
    return {name: _assumed(schema, name, text) for name, text in given.items()}


def _assumed(schema: Schema, name: str, text: str) -> Scalar:
    field = schema.customer.get(name)
    if field is None or name == "id":
        known = ", ".join(sorted(set(schema.customer) - {"id"}))
        raise OutboundError("explain.what_if", f"customers have no attribute {name!r}", f"known: {known}")
    if not text:
        return None
    if name in ("email", "phone"):
        try:
            return read_email(text) if name == "email" else read_phone(text, None)[0]
        except Invalid as error:
            raise OutboundError("explain.what_if", f"{name}: {error}", "write it as in an import") from None
    value = converted(text, field.type)
    if value is None or (field.values and value not in field.values):
        remedy = f"it is one of {', '.join(field.values)}" if field.values else f"it is {type_word(field.type)}"
        raise OutboundError("explain.what_if", f"{text!r} is no value of customer.{name}", remedy)
    return value


def _preference(stated: Preference, values: Mapping[str, Any]) -> Preference:
    hours, pause = stated.quiet_hours, stated.pauses[0] if stated.pauses else None
    begin = _time(values["quiet_from"]) if "quiet_from" in values else hours and hours.start
    end = _time(values["quiet_to"]) if "quiet_to" in values else hours and hours.end
    first = _date(values["pause_from"]) if "pause_from" in values else pause and pause.start
    last = _date(values["pause_to"]) if "pause_to" in values else pause and pause.end
    channel = values.get("preferred_channel", stated.channel)
    return Preference(
        channel=ChannelName(channel) if channel else None,
        language=values.get("language", stated.language),
        timezone=values.get("timezone", stated.timezone),
        quiet_hours=OwnQuietHours(start=begin, end=end) if begin and end else None,
        pauses=(Pause(start=first, end=last or first),) if first else (),
    )


def _blocks(
    connection: Connection, keyring: Keyring, customer: Customer, *, upto: datetime | None
) -> frozenset[tuple[str, str]]:
    found = set()
    for address in customer.addresses:
        hashes = list(keyring.address_hashes(address.channel.value, address.value))
        for block in suppressions.of_hashes(connection, hashes):
            if block.channel is address.channel and (upto is None or block.at.astimezone(UTC) <= upto):
                found.add((block.channel.value, block.scope))
    return frozenset(found)


def _name(channel: ChannelName) -> str:
    return ADDRESS_NAMES.get(channel, channel.value)


def _time(text: str | None) -> time | None:
    return time.fromisoformat(text) if text else None


def _date(text: str | None) -> date | None:
    return date.fromisoformat(str(text)) if text else None
