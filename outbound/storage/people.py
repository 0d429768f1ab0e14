"""Customers as the ladder reads them: everything about many people in five statements."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import time
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentState
from outbound.domain.customer import (
    Address,
    AddressState,
    ChannelName,
    Customer,
    OwnQuietHours,
    Pause,
    Preference,
    Scalar,
)
from outbound.domain.person import ConsentEntry, Person
from outbound.storage import locks
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among_bound, bound, chunks
from outbound.storage.tables import address, consent, consent_event, customer, suppression

_CHANNELS = {channel.value: channel for channel in ChannelName}
_STATES = {state.value: state for state in AddressState}
_CONSENTS = {state.value: state for state in ConsentState}
_UNSTATED = Preference()
_NOBODY: frozenset[tuple[str, str]] = frozenset()

# JSON is decoded here: the column's own type would look each value up twice.
_ATTRIBUTES = sa.type_coerce(customer.c.attributes, sa.Text())


def load_people(connection: Connection, ids: Sequence[str], *, for_update: bool = False) -> dict[str, Person]:
    """The people among ``ids`` that exist, by id: profile, addresses, consents and suppressions.

    Merged customers are not there: resolve their id first (``storage.customers.survivors``). With
    ``for_update`` their rows stay locked to the end of the transaction (``storage.locks``), and what they say
    was read after that.
    """
    if for_update:
        locks.customers(connection, ids)
    found: dict[str, Person] = {}
    for some in chunks(list(dict.fromkeys(ids))):
        _load(connection, some, found)
    return found


@cache
def _profile_query(dialect: str) -> Prepared:
    query: sa.Select[Any] = sa.select(
        customer.c.id,
        customer.c.country,
        customer.c.language,
        customer.c.timezone,
        customer.c.preferred_channel,
        customer.c.quiet_from,
        customer.c.quiet_to,
        customer.c.pause_from,
        customer.c.pause_to,
        customer.c.frequency,
        customer.c.zone_source,
        customer.c.updated_at,
        _ATTRIBUTES,
    ).where(among_bound(dialect, customer.c.id, "ids"), customer.c.merged_into.is_(None))
    return Prepared(query)


def _load(connection: Connection, ids: Sequence[str], found: dict[str, Person]) -> None:
    rows = _rows(connection, _profile_query, ids)
    addresses = _addresses(connection, ids)
    consents = _consents(connection, ids)
    suppressed = _suppressed(connection, ids)
    for row in rows:
        (
            identity,
            country,
            language,
            timezone,
            channel,
            quiet_from,
            quiet_to,
            start,
            end,
            often,
            zone,
            updated,
            values,
        ) = row
        stated = language or timezone or channel or quiet_from or start or often
        found[identity] = Person(
            customer=Customer(
                id=identity,
                country=country,
                attributes=attributes_of(values),
                addresses=addresses.get(identity, ()),
                preference=Preference(
                    channel=_CHANNELS.get(channel),
                    language=language,
                    timezone=timezone,
                    quiet_hours=_quiet(quiet_from, quiet_to),
                    pauses=(Pause(start=start, end=end or start),) if start else (),
                    fewer=often is not None,
                )
                if stated
                else _UNSTATED,
                zone_source=zone,
                updated_at=updated,
            ),
            consents=consents.get(identity, {}),
            suppressed=suppressed.get(identity, _NOBODY),
        )


def attributes_of(stored: Any) -> Mapping[str, Scalar]:
    """The attribute document as a mapping: SQLite hands out text, PostgreSQL a decoded object."""
    values: Mapping[str, Scalar] = json.loads(stored) if isinstance(stored, str) else stored or {}
    return values


def _quiet(start: str | None, end: str | None) -> OwnQuietHours | None:
    if not start or not end:
        return None
    return OwnQuietHours(start=time.fromisoformat(start), end=time.fromisoformat(end))


def _rows(connection: Connection, query: Callable[[str], Prepared], ids: Sequence[str]) -> Sequence[Any]:
    """Fetched at once: SQLAlchemy's row-by-row iteration was half of the whole loading time."""
    return query(connection.dialect.name).rows(connection, {"ids": bound(connection, ids)})


@cache
def _address_query(dialect: str) -> Prepared:
    query = sa.select(address.c.customer_id, address.c.channel, address.c.value, address.c.state)
    query = query.where(among_bound(dialect, address.c.customer_id, "ids"))
    return Prepared(query.order_by(address.c.customer_id, address.c.channel))


def _addresses(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[Address, ...]]:
    found: dict[str, tuple[Address, ...]] = {}
    rows = _rows(connection, _address_query, ids)
    for identity, channel, value, state in rows:
        entry = Address(channel=_CHANNELS[channel], value=value, state=_STATES[state])
        found[identity] = (*found.get(identity, ()), entry)
    return found


@cache
def _consent_query(dialect: str) -> Prepared:
    return Prepared(
        sa.select(
            consent.c.customer_id,
            consent.c.topic,
            consent.c.channel,
            consent.c.state,
            consent.c.address,
            consent_event.c.evidence["basis"].as_string(),
        )
        .join(consent_event, consent_event.c.id == consent.c.event_id, isouter=True)
        .where(among_bound(dialect, consent.c.customer_id, "ids"))
    )


def _consents(connection: Connection, ids: Sequence[str]) -> dict[str, dict[tuple[str, str], ConsentEntry]]:
    found: dict[str, dict[tuple[str, str], ConsentEntry]] = defaultdict(dict)
    for identity, topic, channel, state, value, basis in _rows(connection, _consent_query, ids):
        entry = ConsentEntry(state=_CONSENTS[state], address=value, basis=basis or "consent")
        found[identity][topic, channel] = entry
    return found


@cache
def _suppressed_query(dialect: str) -> Prepared:
    return Prepared(
        sa.select(address.c.customer_id, suppression.c.channel, suppression.c.scope)
        .join(suppression, sa.and_(suppression.c.hash == address.c.hash, suppression.c.channel == address.c.channel))
        .where(among_bound(dialect, address.c.customer_id, "ids"))
    )


def _suppressed(connection: Connection, ids: Sequence[str]) -> dict[str, frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for identity, channel, scope in _rows(connection, _suppressed_query, ids):
        found[identity].add((channel, scope))
    return {identity: frozenset(blocks) for identity, blocks in found.items()}
