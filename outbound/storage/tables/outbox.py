"""The outbox: a message, its legs and the attempts at each. The row is the truth (delivery.md 2.2)."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_READY = sa.text("state = 'ready'")
_SCHEDULED = sa.text("state = 'scheduled'")
_UNCERTAIN = sa.text("state = 'uncertain'")
_VERIFIABLE = sa.text("verify_code IS NOT NULL")
_UNREPORTED = sa.text("receipt_at IS NULL AND moved_on = '' AND channel <> 'email'")
_UNWORDED = sa.text("reason = 'render'")
_SENDER_REFUSED = sa.text("outcome = 'rejected_sender'")
_LEASED = sa.text("state = 'claimed' OR state = 'sending'")


class MessageRow(SQLModel, table=True):
    """See ``domain.message.Message``. Unique on columns, not on a hash of them (measured: 3.3 s against 5.7 s).

    ``channels`` is the waterfall as comma-separated names. ``lease_until`` is in database time.
    ``verify_code`` is what readers check it by, from the first attempt on (``domain.verification``).
    ``held_by`` is the first gate that held. ``detail`` is the free part of ``reason`` or the last error.
    """

    __tablename__ = "message"
    __table_args__ = (
        sa.UniqueConstraint("rule", "once", "customer_id", "step"),
        # In the order of the claim, so that it reads its slice and no more however many rows wait.
        sa.Index(
            "ix_message_due",
            "lane",
            sa.text("priority DESC"),
            "not_before",
            sqlite_where=_READY,
            postgresql_where=_READY,
        ),
        sa.Index("ix_message_waiting", "lane", "not_before", sqlite_where=_SCHEDULED, postgresql_where=_SCHEDULED),
        sa.Index("ix_message_uncertain", "updated_at", sqlite_where=_UNCERTAIN, postgresql_where=_UNCERTAIN),
        sa.Index("ix_message_lease", "lease_until", sqlite_where=_LEASED, postgresql_where=_LEASED),
        sa.Index("ix_message_unworded", "updated_at", sqlite_where=_UNWORDED, postgresql_where=_UNWORDED),
        sa.Index("ix_message_customer_at", "customer_id", "created_at"),
        sa.Index("ix_message_run_state", "run_id", "state"),
        sa.Index("ix_message_verify", "verify_code", sqlite_where=_VERIFIABLE, postgresql_where=_VERIFIABLE),
    )

    id: str = Field(primary_key=True)
    run_id: str
    rule: str
    rule_version: str
    release: str
    once: str
    customer_id: str
    step: str = ""
    template: str
    variant: str = ""
    topic: str
    message_class: str
    lane: str
    priority: int
    channels: str
    context: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    not_before: datetime
    local_time: str = ""
    zone: str = ""
    expires: datetime
    on_uncertain: str = "hold"
    state: str
    reason: str = ""
    detail: str = ""
    held_by: str = ""
    leg: int = 1
    attempts: int = 0
    lease_token: int = 0
    lease_until: datetime | None = None
    worker: str = ""
    message_id: str = ""
    date: datetime | None = None
    body_hash: str = ""
    language: str = ""
    verify_code: str | None = None
    tracked: str | None = None
    depth: int = 0
    created_at: datetime
    updated_at: datetime
    sent_at: datetime | None = None


class LegRow(SQLModel, table=True):
    """One channel's turn of a message. ``moved_on`` says why the next leg was opened (``next_on``).

    ``cost`` is in millionths of the policy's currency, 0 until the provider accepted the message.
    ``receipt_at`` is when the provider reported the delivery.
    """

    __tablename__ = "leg"
    __table_args__ = (
        sa.Index("ix_leg_provider_ref", "provider_ref"),
        sa.Index("ix_leg_customer_at", "customer_id", "at"),  # what caps count
        sa.Index("ix_leg_unreported", "at", sqlite_where=_UNREPORTED, postgresql_where=_UNREPORTED),
    )

    message_id: str = Field(primary_key=True)
    n: int = Field(primary_key=True)
    channel: str
    customer_id: str
    address: str
    account: str = ""
    provider_ref: str = ""
    moved_on: str = ""
    cost: int = Field(default=0, sa_type=sa.BigInteger)
    receipt_at: datetime | None = None
    at: datetime


class AttemptRow(SQLModel, table=True):
    """One try to hand over: written before any I/O, marked ``handoff`` right before the point of no return."""

    __tablename__ = "attempt"
    __table_args__ = (
        sa.Index("ix_attempt_message", "message_id"),
        sa.Index(
            "ix_attempt_sender_refused", "replied_at", sqlite_where=_SENDER_REFUSED, postgresql_where=_SENDER_REFUSED
        ),
    )

    id: str = Field(primary_key=True)
    message_id: str
    leg: int
    n: int
    lease_token: int
    phase: str
    endpoint: str = ""
    outcome: str = ""
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    started_at: datetime
    handoff_at: datetime | None = None
    replied_at: datetime | None = None


message = table(MessageRow)
leg = table(LegRow)
attempt = table(AttemptRow)
