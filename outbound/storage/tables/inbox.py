"""What providers and mailboxes brought: raw as it came, and the news that was in it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table

_WAITING = sa.text("processed_at IS NULL")
_ORPHAN = sa.text("message_id = ''")

_WAITS = sa.text("automated = 'waits'")
_COMPLAINED = sa.text("kind = 'complained'")


class InboxEventRow(SQLModel, table=True):
    """One request or mail, kept before it is answered. ``key`` is the provider's id of it, or the hash of ``raw``.

    ``head`` holds what its parser needs beside the body: content type and address. ``trouble`` says why it could not
    be worked on, ``tries`` how often that was tried.
    """

    __tablename__ = "inbox_event"
    __table_args__ = (
        sa.UniqueConstraint("provider", "key"),
        sa.Index("ix_inbox_event_waiting", "received_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        sa.Index("ix_inbox_event_received", "received_at"),
    )

    id: str = Field(primary_key=True)
    provider: str
    key: str
    raw: bytes = Field(sa_type=sa.LargeBinary)
    head: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    received_at: datetime
    processed_at: datetime | None = None
    trouble: str = ""
    tries: int = 0


class DeliveryEventRow(SQLModel, table=True):
    """One piece of news about one recipient (``domain.delivery.DeliveryEvent``), once for each ``key`` of its provider.

    ``message_id`` is empty while no message of ours is known under ``reference`` or ``ours``: an orphan, looked for
    again for a day. ``proven``: whoever told it is who it says, so that it may change something. ``at`` is the
    provider's time. ``automated``: why an open or click is likely a machine's, empty for a person's, ``waits`` for a
    click that is not judged yet; ``link`` is a hash of where it led.
    """

    __tablename__ = "delivery_event"
    __table_args__ = (
        sa.Index("ix_delivery_event_customer_at", "customer_id", "at"),
        sa.Index("ix_delivery_event_message", "message_id", "leg"),
        sa.Index("ix_delivery_event_hash", "address_hash", "at"),
        sa.Index("ix_delivery_event_complained", "at", sqlite_where=_COMPLAINED, postgresql_where=_COMPLAINED),
        sa.Index("ix_delivery_event_waits", "received_at", sqlite_where=_WAITS, postgresql_where=_WAITS),
        sa.Index("ix_delivery_event_orphan", "received_at", sqlite_where=_ORPHAN, postgresql_where=_ORPHAN),
    )

    provider: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    inbox_id: str
    kind: str
    bounce: str = ""
    reason: str = ""
    code: str = ""
    detail: str = ""
    reference: str = ""
    ours: str = ""
    message_id: str = ""
    leg: int = 0
    customer_id: str = ""
    address_hash: str = ""
    proven: bool = True
    automated: str = ""
    link: str | None = None
    at: datetime
    received_at: datetime


inbox_event = table(InboxEventRow)
delivery_event = table(DeliveryEventRow)
