"""One customer's row, addresses and the history of both."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import AddressState, ChannelName, Scalar
from outbound.storage import changes as change_log
from outbound.storage.people import attributes_of
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among, chunks, insert_into
from outbound.storage.tables import address, customer, customer_change

COLUMNS = (
    "country",
    "language",
    "timezone",
    "preferred_channel",
    "quiet_from",
    "quiet_to",
    "pause_from",
    "pause_to",
    "frequency",
)
"""What a customer's row holds besides the attribute document."""

_THIS = sa.bindparam("id", type_=sa.Text)
_SURVIVOR = Prepared(sa.select(customer.c.merged_into).where(customer.c.id == _THIS))
_MERGED_FROM = Prepared(sa.select(customer.c.id).where(customer.c.merged_into == _THIS).order_by(customer.c.id))

ADDRESS_NAMES = {ChannelName.EMAIL: "email", ChannelName.SMS: "phone"}
"""The reserved attributes that addresses back, as history and conditions name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAddress:
    """An address with its keyed hash, ready to be stored."""

    channel: ChannelName
    value: str
    hash: str
    state: AddressState = AddressState.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What to change on one customer. Absent is untouched; None removes.

    ``columns`` takes names of ``COLUMNS``; ``addresses`` maps a channel to its new address or None.
    """

    customer_id: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    addresses: Mapping[ChannelName, StoredAddress | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of a customer's history."""

    attribute: str
    old: Any
    new: Any
    at: datetime
    source: str


def survivors(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """For each of ``ids`` that was merged, the id it lives on under."""
    found: dict[str, str] = {}
    for some in chunks(ids):
        query = sa.select(customer.c.id, customer.c.merged_into)
        query = query.where(among(connection, customer.c.id, some), customer.c.merged_into.is_not(None))
        found.update((row.id, row.merged_into) for row in connection.execute(query))
    return found


def survivor(connection: Connection, customer_id: str) -> str | None:
    """The id this customer lives on under: its own, unless it was merged. None for one the store does not know."""
    found = _SURVIVOR.rows(connection, {"id": customer_id})
    return (found[0][0] or customer_id) if found else None


def merged_from(connection: Connection, customer_id: str) -> list[str]:
    """The ids that were merged into this customer."""
    return [row[0] for row in _MERGED_FROM.rows(connection, {"id": customer_id})]


def exists(connection: Connection, customer_id: str) -> bool:
    """Whether the store knows this id, merged or not."""
    return connection.execute(sa.select(customer.c.id).where(customer.c.id == customer_id)).first() is not None


def ids_after(connection: Connection, after: str, *, limit: int) -> list[str]:
    """The next ids in the order of the database, of customers who were not merged into others."""
    query = sa.select(customer.c.id).where(customer.c.id > after, customer.c.merged_into.is_(None))
    return list(connection.execute(query.order_by(customer.c.id).limit(limit)).scalars())


def by_hash(connection: Connection, hashes: Sequence[str]) -> list[str]:
    """The customers who have an address that one of these hashes stands for."""
    query = sa.select(address.c.customer_id).where(among(connection, address.c.hash, hashes)).distinct()
    return list(connection.execute(query.order_by(address.c.customer_id)).scalars())


def apply(connection: Connection, update: Update, *, source: str, now: datetime) -> tuple[Change, ...]:
    """Create or change one customer and write the history; returns what really changed.

    The caller sets ``zone_source`` afterwards with ``set_zone_source``: working it out is the engine's business.
    """
    query = sa.select(customer).where(customer.c.id == update.customer_id)
    if connection.dialect.name != "sqlite":
        query = query.with_for_update()
    row = connection.execute(query).mappings().first()
    old_attributes = dict(attributes_of(row["attributes"])) if row else {}
    changes = [
        (name, row[name] if row else None, value)
        for name, value in update.columns.items()
        if (row[name] if row else None) != value
    ]
    changed_columns = {name: value for name, _, value in changes}
    new_attributes = dict(old_attributes)
    for name, value in update.attributes.items():
        if old_attributes.get(name) != value:
            changes.append((name, old_attributes.get(name), value))
        new_attributes[name] = value
    new_attributes = {name: value for name, value in new_attributes.items() if value is not None}
    if row is None:
        connection.execute(
            sa.insert(customer).values(
                id=update.customer_id,
                **changed_columns,
                attributes=new_attributes,
                zone_source="",
                created_at=now,
                updated_at=now,
            )
        )
    changes += _apply_addresses(connection, update, now=now)
    if row is not None and changes:
        connection.execute(
            sa.update(customer)
            .where(customer.c.id == update.customer_id)
            .values(**changed_columns, attributes=new_attributes, updated_at=now)
        )
    history = tuple(
        Change(attribute=name, old=_json(old), new=_json(new), at=now, source=source) for name, old, new in changes
    )
    watched = change_log.watched(connection) if history else change_log.Watched()
    marked = watched.segments if row is None else watched.attributes  # who is new did not change, but may enter
    write_history(connection, update.customer_id, history, marked=marked)
    return history


def write_history(
    connection: Connection, customer_id: str, changes: Sequence[Change], *, marked: Collection[str] = ()
) -> None:
    """Append lines to a customer's history. Rules will look at those of the ``marked`` attributes."""
    if changes:
        connection.execute(
            sa.insert(customer_change),
            [
                {
                    "customer_id": customer_id,
                    "attribute": c.attribute,
                    "old": c.old,
                    "new": c.new,
                    "at": c.at,
                    "source": c.source,
                    "pending": c.attribute in marked,
                }
                for c in changes
            ],
        )


def set_zone_source(connection: Connection, sources: Mapping[str, str]) -> None:
    """Store what each customer's send zone is worked out from; who was somewhere else before has moved.

    ``updated_at`` says who is new: a row that never changed was nowhere before.
    """
    if sources:
        source = sa.bindparam("source", type_=sa.Text())
        connection.execute(
            sa.update(customer)
            .where(customer.c.id == sa.bindparam("customer"))
            .values(
                zone_source=source,
                moved_from=sa.case(
                    (
                        sa.and_(customer.c.updated_at > customer.c.created_at, customer.c.zone_source != source),
                        sa.func.coalesce(customer.c.moved_from, customer.c.zone_source),
                    ),
                    else_=customer.c.moved_from,
                ),
            ),
            [{"customer": identity, "source": source} for identity, source in sources.items()],
        )


def _apply_addresses(connection: Connection, update: Update, *, now: datetime) -> list[tuple[str, Any, Any]]:
    changes: list[tuple[str, Any, Any]] = []
    for channel, entry in update.addresses.items():
        key = (address.c.customer_id == update.customer_id, address.c.channel == channel.value)
        old = connection.execute(sa.select(address.c.value, address.c.state).where(*key)).first()
        name = ADDRESS_NAMES.get(channel, channel.value)
        if entry is None:
            if old is not None:
                connection.execute(sa.delete(address).where(*key))
                changes.append((name, old.value, None))
            continue
        if old is not None and (old.value, old.state) == (entry.value, entry.state.value):
            continue
        statement = insert_into(connection, address)
        fresh = {"value": entry.value, "hash": entry.hash, "state": entry.state.value, "updated_at": now}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["customer_id", "channel"], set_=fresh),
            {"customer_id": update.customer_id, "channel": channel.value, **fresh},
        )
        changes.append((name, old.value if old else None, entry.value))
    return changes


def _json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
