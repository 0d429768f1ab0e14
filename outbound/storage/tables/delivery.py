"""What all workers of an installation share about the provider accounts: who is paused, and what has left."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import table


class BreakerRow(SQLModel, table=True):
    """An account (``domain`` empty) or one destination of it that is paused; no row: everything passes.

    ``until`` is when it may be probed, ``pause`` how many seconds the pause was. While one message probes, no other
    does before ``probe_until``.
    """

    __tablename__ = "breaker"

    account: str = Field(primary_key=True)
    domain: str = Field(primary_key=True)
    until: datetime
    pause: int
    reason: str
    opened_at: datetime
    probe_until: datetime | None = None


class AccountRateRow(SQLModel, table=True):
    """``next_at`` is when the account's next message may leave, in seconds of the database's clock (Unix time)."""

    __tablename__ = "account_rate"

    account: str = Field(primary_key=True)
    next_at: float = Field(sa_type=sa.Float)


class AccountDayRow(SQLModel, table=True):
    """How many attempts began on a local day (ISO date) of an account that is being warmed up."""

    __tablename__ = "account_day"

    account: str = Field(primary_key=True)
    day: str = Field(primary_key=True)
    used: int


class EvidenceLookRow(SQLModel, table=True):
    """How often a provider was asked about a message with an unknown outcome, and when last."""

    __tablename__ = "evidence_look"

    message_id: str = Field(primary_key=True)
    looks: int
    looked_at: datetime


class StrangerCountRow(SQLModel, table=True):
    """How much of a cap on what strangers set off was used on a day (ISO, UTC). ``key``: its kind and a keyed hash."""

    __tablename__ = "stranger_count"

    day: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    used: int = Field(sa_type=sa.BigInteger)


breaker = table(BreakerRow)
account_rate = table(AccountRateRow)
account_day = table(AccountDayRow)
evidence_look = table(EvidenceLookRow)
stranger_count = table(StrangerCountRow)
