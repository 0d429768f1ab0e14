"""What people did to the running service: who paused, resumed, resolved, sent again, and why."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table


class OperationRow(SQLModel, table=True):
    """Append-only. ``kind`` is the command's word, ``subject`` what it was about (a switch, a run, a message).

    ``message_id`` and ``customer_id`` are empty unless it was about one message.
    """

    __tablename__ = "operation"
    __table_args__ = (sa.Index("ix_operation_customer_at", "customer_id", "at"), sa.Index("ix_operation_at", "at"))

    id: str = Field(primary_key=True)
    at: datetime
    kind: str
    subject: str
    by: str
    note: str = ""
    details: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    message_id: str = ""
    customer_id: str = ""


operation = table(OperationRow)
