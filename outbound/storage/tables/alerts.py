"""Alerts that stand, shared by all daemons of an installation."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table


class AlertRow(SQLModel, table=True):
    """One condition that holds, or held and whose end is not told yet. The row goes when everybody knows its end.

    ``seen_at`` is when it held last. ``told`` is receiver to when it was told last (ISO), ``told_over`` the receivers
    that know the end. While ``taken_until`` lies ahead one daemon is telling it.
    """

    __tablename__ = "alert"

    kind: str = Field(primary_key=True)
    subject: str = Field(primary_key=True)
    text: str
    remedy: str = ""
    since: datetime
    seen_at: datetime
    over_at: datetime | None = None
    told: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    told_over: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    taken_until: datetime | None = None


alert = table(AlertRow)
