"""The central customer record: people, addresses, consent, suppressions, events and what changed."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_PENDING = sa.text("pending")
_LIVING = sa.text("merged_into IS NULL")
_MERGED = sa.text("merged_into IS NOT NULL")
_MOVED = sa.text("moved_from IS NOT NULL")
_LINKED = sa.text("n > 0")
_OPEN = sa.text("review = 'open'")


class CustomerRow(SQLModel, table=True):
    """One person. Declared attributes live in one JSON document; reserved ones have columns here or in address.

    ``zone_source`` is what the send zone is worked out from: ``tz:Europe/Rome``, ``country:IT``,
    ``phone:Europe/Rome,Europe/Vatican`` or empty. ``quiet_from`` and ``quiet_to`` are ``HH:MM`` in their zone.
    ``frequency`` is ``fewer`` for those who asked for fewer messages.
    A merged customer keeps its row with ``merged_into`` set and nothing else. ``moved_from`` is the zone source
    before it changed, until planning has looked at what waits for the customer; null for all others.
    """

    __tablename__ = "customer"
    __table_args__ = (
        sa.Index("ix_customer_zone", "zone_source", "country"),
        # The customers of a zone in the order planning goes through them.
        sa.Index("ix_customer_zone_id", "zone_source", "id", sqlite_where=_LIVING, postgresql_where=_LIVING),
        # A customer's other ids, which everything about one customer asks for.
        sa.Index("ix_customer_merged", "merged_into", sqlite_where=_MERGED, postgresql_where=_MERGED),
        sa.Index("ix_customer_moved", "id", sqlite_where=_MOVED, postgresql_where=_MOVED),
    )

    id: str = Field(primary_key=True)
    country: str | None = None
    language: str | None = None
    timezone: str | None = None
    preferred_channel: str | None = None
    quiet_from: str | None = None
    quiet_to: str | None = None
    pause_from: date | None = None
    pause_to: date | None = None
    frequency: str | None = None
    zone_source: str = ""
    attributes: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    merged_into: str | None = None
    moved_from: str | None = None
    created_at: datetime
    updated_at: datetime


class AddressRow(SQLModel, table=True):
    """The address of a customer on one channel. ``hash`` is the keyed hash that suppressions are matched by."""

    __tablename__ = "address"
    __table_args__ = (sa.Index("ix_address_value", "channel", "value"), sa.Index("ix_address_hash", "hash"))

    customer_id: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)
    value: str
    hash: str
    state: str = "ok"
    updated_at: datetime


class CustomerChangeRow(SQLModel, table=True):
    """Append-only history of attributes, addresses and preferences. ``source`` names import file, page or operator.

    ``pending``: a rule waits for changes of this attribute and has not seen this one yet.
    """

    __tablename__ = "customer_change"
    __table_args__ = (
        sa.Index("ix_customer_change_customer_at", "customer_id", "at"),
        sa.Index("ix_customer_change_pending", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
    )

    id: int | None = Field(
        default=None,
        sa_column=sa.Column(sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    )
    customer_id: str
    attribute: str
    old: Any = Field(default=None, sa_type=Json, nullable=True)
    new: Any = Field(default=None, sa_type=Json, nullable=True)
    at: datetime
    source: str
    pending: bool = False


class ConsentEventRow(SQLModel, table=True):
    """The append-only consent ledger. ``channel`` is empty for all channels.

    Each customer's events are one hash chain: ``n`` counts from 1, ``previous`` is the hash of the event before and
    ``hash`` covers it and everything else (``storage.ledger``). ``chain`` is the customer the chain was begun for,
    also after that record was merged into another.
    """

    __tablename__ = "consent_event"
    __table_args__ = (
        sa.Index("ix_consent_event_customer_at", "customer_id", "at"),
        sa.Index("ix_consent_event_chain", "chain", "n", unique=True, sqlite_where=_LINKED, postgresql_where=_LINKED),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    topic: str
    channel: str = ""
    state: str
    address: str | None = None
    at: datetime
    recorded_at: datetime
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    chain: str = Field(default="", sa_column_kwargs={"server_default": ""})
    n: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    previous: str = Field(default="", sa_column_kwargs={"server_default": ""})
    hash: str = Field(default="", sa_column_kwargs={"server_default": ""})


class ConsentAnchorRow(SQLModel, table=True):
    """Where a chain begins whose first events were pruned: what was number ``n`` had this hash."""

    __tablename__ = "consent_anchor"

    chain: str = Field(primary_key=True)
    n: int
    hash: str
    at: datetime


class ConsentRow(SQLModel, table=True):
    """What the ledger says now, kept by the same transaction that appends. Rebuildable from consent_event."""

    __tablename__ = "consent"

    customer_id: str = Field(primary_key=True)
    topic: str = Field(primary_key=True)
    channel: str = Field(primary_key=True, default="")
    state: str
    address: str | None = None
    at: datetime
    event_id: str


class SuppressionRow(SQLModel, table=True):
    """A block on an address, known only by its keyed hash, so that it survives erasure and re-import."""

    __tablename__ = "suppression"
    __table_args__ = (sa.Index("ix_suppression_hash", "hash", "channel"),)

    channel: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    hash: str = Field(primary_key=True)
    reason: str
    at: datetime


class SmsInRow(SQLModel, table=True):
    """A text that came in, once per ``id`` (the provider's), with what it was understood to mean.

    ``hash`` is the keyed hash of the number. ``text`` is kept only where a person must read it, and goes with the
    customer. ``review`` is ``open`` until somebody has, then what they decided.
    """

    __tablename__ = "sms_in"
    __table_args__ = (
        sa.Index("ix_sms_in_hash", "hash"),
        sa.Index("ix_sms_in_customer", "customer_id"),
        sa.Index("ix_sms_in_open", "at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    id: str = Field(primary_key=True)
    hash: str
    customer_id: str = ""
    meaning: str
    keyword: str = ""
    text: str = ""
    sent_to: str = ""
    effect: str = ""
    review: str = ""
    reviewed_by: str = ""
    reviewed_at: datetime | None = None
    at: datetime


class ErasureRow(SQLModel, table=True):
    """The receipt of an erasure: when, by whom, how much, and the heads of the consent chains that went.

    ``customer_hash`` is the keyed hash of the id that was erased: who asks again can be answered.
    """

    __tablename__ = "erasure"
    __table_args__ = (sa.Index("ix_erasure_customer", "customer_hash"),)

    id: str = Field(primary_key=True)
    customer_hash: str
    at: datetime
    by: str
    chains: list[Any] = Field(default_factory=list, sa_type=Json)
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


class EventRow(SQLModel, table=True):
    """What happened to a customer. ``handled_at`` is null until the rules have seen it.

    ``id`` is the sender's own id where there is one, which makes a repeated event the same row.
    """

    __tablename__ = "event"
    __table_args__ = (
        sa.Index("ix_event_customer_name_at", "customer_id", "name", "at"),
        sa.Index(
            "ix_event_pending",
            "received_at",
            sqlite_where=sa.text("handled_at IS NULL"),
            postgresql_where=sa.text("handled_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    name: str
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime
    received_at: datetime
    handled_at: datetime | None = None
    source: str = ""


class ImportBatchRow(SQLModel, table=True):
    """One import: which file, under which mapping, and how many rows went where."""

    __tablename__ = "import_batch"

    id: str = Field(primary_key=True)
    kind: str
    file: str
    file_hash: str
    at: datetime
    counts: dict[str, Any] = Field(default_factory=dict, sa_type=Json)


customer = table(CustomerRow)
address = table(AddressRow)
customer_change = table(CustomerChangeRow)
consent_event = table(ConsentEventRow)
consent_anchor = table(ConsentAnchorRow)
consent = table(ConsentRow)
suppression = table(SuppressionRow)
sms_in = table(SmsInRow)
erasure = table(ErasureRow)
event = table(EventRow)
import_batch = table(ImportBatchRow)
