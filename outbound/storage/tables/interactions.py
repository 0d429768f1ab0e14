"""What customers said to us: replies, texts, and notes of calls, visits and chats."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_KEYED = sa.text("key <> ''")


class InteractionRow(SQLModel, table=True):
    """See ``domain.interaction.Interaction``. ``channel`` is empty for a visit.

    ``inbox_id`` is the raw form it was read from (``inbox_event``), empty where somebody wrote it down.
    """

    __tablename__ = "interaction"
    __table_args__ = (
        sa.Index("ix_interaction_customer_at", "customer_id", "at"),
        sa.Index("ix_interaction_message", "message_id"),
        sa.Index("ix_interaction_key", "source", "key", unique=True, sqlite_where=_KEYED, postgresql_where=_KEYED),
    )

    id: str = Field(primary_key=True)
    customer_id: str
    kind: str
    channel: str = ""
    subject: str = ""
    text: str = ""
    address: str = ""
    message_id: str = ""
    leg: int = 0
    source: str
    key: str = ""
    by: str = ""
    attention: str = ""
    details: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime
    recorded_at: datetime
    inbox_id: str = ""


interaction = table(InteractionRow)
