"""Other systems that are told by webhook, and the queue of what they are told."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel.sql import sqltypes

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_JSON = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_TIME = sqltypes.UTCDateTime()


def upgrade() -> None:
    op.create_table(
        "hook",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("events", _TEXT, nullable=False),
        sa.Column("failing_since", _TIME, nullable=True),
        sa.Column("off", _TEXT, nullable=False),
    )
    op.create_table(
        "hook_post",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("hook", _TEXT, nullable=False),
        sa.Column("event", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("customer_id", _TEXT, nullable=False),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", _TEXT, nullable=False),
        sa.UniqueConstraint("hook", "key"),
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_hook_post_due", "hook_post", ["hook", "due_at"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("ix_hook_post_customer", "hook_post", ["customer_id"])
    op.create_index("ix_hook_post_at", "hook_post", ["at"])
