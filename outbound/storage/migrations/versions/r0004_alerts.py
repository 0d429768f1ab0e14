"""Alerts that stand, and the indexes that the conditions behind them are looked up by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()


def upgrade() -> None:
    document = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    op.create_table(
        "alert",
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("text", _TEXT, nullable=False),
        sa.Column("remedy", _TEXT, nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False),
        sa.Column("over_at", _INSTANT, nullable=True),
        sa.Column("told", document, nullable=False),
        sa.Column("told_over", document, nullable=False),
        sa.Column("taken_until", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("kind", "subject"),
    )
    unworded = sa.text("reason = 'render'")
    op.create_index(
        "ix_message_unworded",
        "message",
        ["updated_at"],
        unique=False,
        sqlite_where=unworded,
        postgresql_where=unworded,
    )
    refused = sa.text("outcome = 'rejected_sender'")
    op.create_index(
        "ix_attempt_sender_refused",
        "attempt",
        ["replied_at"],
        unique=False,
        sqlite_where=refused,
        postgresql_where=refused,
    )
