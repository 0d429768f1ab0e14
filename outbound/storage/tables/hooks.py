"""Other systems that are told by webhook, and what they are to be told."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_WAITING = sa.text("state = 'waiting'")


class HookRow(SQLModel, table=True):
    """See ``domain.hook.Hook``; its address and secret stand in outbound.toml and the environment.

    ``events`` are names with a comma before and behind each.
    """

    __tablename__ = "hook"

    name: str = Field(primary_key=True)
    events: str
    failing_since: datetime | None = None
    off: str = ""


class HookPostRow(SQLModel, table=True):
    """See ``domain.hook.Post``. ``key`` is what makes it the same news when it is told again.

    ``due_at`` lies ahead while a daemon posts it: who dies in between leaves it to the next.
    """

    __tablename__ = "hook_post"
    __table_args__ = (
        sa.UniqueConstraint("hook", "key"),
        sa.Index("ix_hook_post_due", "hook", "due_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        sa.Index("ix_hook_post_customer", "customer_id"),
        sa.Index("ix_hook_post_at", "at"),
    )

    id: str = Field(primary_key=True)
    hook: str
    event: str
    key: str
    customer_id: str
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime
    state: str
    tries: int = 0
    due_at: datetime
    status: int | None = None
    answer: str = ""


hook = table(HookRow)
hook_post = table(HookPostRow)
