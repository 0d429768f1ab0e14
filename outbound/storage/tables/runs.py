"""Planning: which slot of which rule was planned, and what was decided for whom."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_LIMITED = sa.text("limited <> ''")


class RunRow(SQLModel, table=True):
    """One slot of a rule over its audience; the unit of the equation.

    ``slot`` is the period of a schedule, the local date of a date rule, the UTC day of an event rule, or the
    key of ``outbound send``. ``candidates`` counts those that matched with ``who`` true; ``skipped`` the ones
    that planning itself skipped, by reason; the messages are counted from the outbox. ``cost`` is what they will
    cost as planned, in millionths of ``currency``.

    ``limited`` is the limit that the run exceeds, "" for none: its messages then wait until a person approves.
    ``counted`` is the whole run as it was counted over all zones before its first message, and what it exceeds in
    words; None where the rule has no limits. ``approved_messages`` and ``approved_cost`` are what that person saw;
    more than that stops the run again. ``approved_by`` is also who turned it down (``limited`` is then ``rejected``).

    ``folded`` counts what was pruned, None for nothing: messages by state, reason and channel (``storage.folding``).
    """

    __tablename__ = "run"
    __table_args__ = (
        sa.UniqueConstraint("rule", "slot"),
        sa.Index("ix_run_limited", "limited", sqlite_where=_LIMITED, postgresql_where=_LIMITED),
    )

    id: str = Field(primary_key=True)
    rule: str
    slot: str
    release: str
    rule_version: str
    trigger: str
    started_at: datetime
    planned_at: datetime | None = None
    candidates: int = 0
    skipped: int = 0
    cost: int = Field(default=0, sa_type=sa.BigInteger)
    currency: str = ""
    limited: str = ""
    counted: dict[str, Any] | None = Field(default=None, sa_type=Json)
    approved_messages: int = 0
    approved_cost: int = Field(default=0, sa_type=sa.BigInteger)
    approved_by: str = ""
    approved_at: datetime | None = None
    folded: dict[str, Any] | None = Field(default=None, sa_type=Json)


class FiringRow(SQLModel, table=True):
    """(rule, slot, zone) fires once in the fleet: whoever inserts this row plans it."""

    __tablename__ = "firing"

    rule: str = Field(primary_key=True)
    slot: str = Field(primary_key=True)
    zone: str = Field(primary_key=True)
    nominal: datetime
    planned_at: datetime
    note: str = ""


class DecisionRow(SQLModel, table=True):
    """One candidate's decision at planning, stored from ``reentry`` on. Unique like a message.

    ``verdict`` is send, hold or skip; a send or hold has a message of the same key. ``experiment`` and
    ``variant`` name the exposure; of somebody held out there is the experiment alone.
    """

    __tablename__ = "decision"

    rule: str = Field(primary_key=True)
    once: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    step: str = Field(primary_key=True)
    run_id: str
    release: str
    rule_version: str
    verdict: str
    reason: str = ""
    detail: str = ""
    channel: str = ""
    experiment: str = ""
    variant: str = ""
    at: datetime

    __table_args__ = (
        sa.Index("ix_decision_customer_at", "customer_id", "at"),
        sa.Index("ix_decision_run_customer", "run_id", "customer_id"),  # the pages of `report --people`
    )


class ManifestRow(SQLModel, table=True):
    """Who did not match and at which clause, compressed, per run and key range (``zone`` is the range)."""

    __tablename__ = "manifest"

    run_id: str = Field(primary_key=True)
    zone: str = Field(primary_key=True)
    misses: bytes = Field(sa_type=sa.LargeBinary)
    count: int
    at: datetime


class SendRequestRow(SQLModel, table=True):
    """One call of ``outbound send``: idempotent per (rule, key); other recipients under the key are refused."""

    __tablename__ = "send_request"

    rule: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    run_id: str
    recipients_hash: str
    arguments: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime
    by: str


class ExperimentRow(SQLModel, table=True):
    """An experiment as it was at its first exposure, from when on it is frozen. ``kind``: ``rule`` or ``global``."""

    __tablename__ = "experiment"

    id: str = Field(primary_key=True)
    kind: str
    rule: str = ""
    definition: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    exposed_at: datetime


class MembershipRow(SQLModel, table=True):
    """Who was in a segment when it was last looked at, for rules that fire on entering it.

    ``entries`` counts how often the customer entered; 0: was in it when the watching began.
    """

    __tablename__ = "membership"

    segment: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    inside: bool
    entries: int = 0
    at: datetime


run = table(RunRow)
experiment = table(ExperimentRow)
membership = table(MembershipRow)
firing = table(FiringRow)
decision = table(DecisionRow)
manifest = table(ManifestRow)
send_request = table(SendRequestRow)
