"""Contacts in: replies, texts, and notes of calls, visits and chats."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()


def upgrade() -> None:
    document = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    texts = ("customer_id", "kind", "channel", "subject", "text", "address", "message_id", "source", "key", "by")
    op.create_table(
        "interaction",
        sa.Column("id", _TEXT, nullable=False),
        *(sa.Column(name, _TEXT, nullable=False) for name in (*texts, "attention", "inbox_id")),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("details", document, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("recorded_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_interaction_customer_at", "interaction", ["customer_id", "at"], unique=False)
    op.create_index("ix_interaction_message", "interaction", ["message_id"], unique=False)
    keyed = sa.text("key <> ''")
    op.create_index(
        "ix_interaction_key",
        "interaction",
        ["source", "key"],
        unique=True,
        sqlite_where=keyed,
        postgresql_where=keyed,
    )
