"""What providers and mailboxes bring: raw as it came, and the news in it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()


def upgrade() -> None:
    document = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    op.create_table(
        "inbox_event",
        *(sa.Column(name, _TEXT, nullable=False) for name in ("id", "provider", "key", "trouble")),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("head", document, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("processed_at", _INSTANT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("provider", "key"),
    )
    _index("ix_inbox_event_waiting", "inbox_event", ["received_at"], sa.text("processed_at IS NULL"))
    _index("ix_inbox_event_received", "inbox_event", ["received_at"])
    texts = ("provider", "key", "inbox_id", "kind", "bounce", "reason", "code", "detail", "reference", "ours")
    op.create_table(
        "delivery_event",
        *(
            sa.Column(name, _TEXT, nullable=False)
            for name in (*texts, "message_id", "customer_id", "address_hash", "automated")
        ),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("proven", sa.Boolean(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("provider", "key"),
    )
    _index("ix_delivery_event_customer_at", "delivery_event", ["customer_id", "at"])
    _index("ix_delivery_event_message", "delivery_event", ["message_id", "leg"])
    _index("ix_delivery_event_hash", "delivery_event", ["address_hash", "at"])
    _index("ix_delivery_event_orphan", "delivery_event", ["received_at"], sa.text("message_id = ''"))


def _index(name: str, table: str, columns: list[str], where: "sa.TextClause | None" = None) -> None:
    if where is None:
        op.create_index(name, table, columns, unique=False)
    else:
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
