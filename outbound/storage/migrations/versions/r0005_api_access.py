"""Keys of the API, and the answers kept for repeated requests."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("prefix", _TEXT, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("digest", _TEXT, nullable=False),
        sa.Column("scopes", _TEXT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("created_by", _TEXT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("revoked_at", _INSTANT, nullable=True),
        sa.Column("revoked_by", _TEXT, nullable=False),
        sa.Column("last_used", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("prefix"),
    )
    op.create_table(
        "api_request",
        sa.Column("api_key", _TEXT, nullable=False),
        sa.Column("route", _TEXT, nullable=False),
        sa.Column("idempotency_key", _TEXT, nullable=False),
        sa.Column("body_hash", _TEXT, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("api_key", "route", "idempotency_key"),
    )
    op.create_index("ix_api_request_started", "api_request", ["started_at"], unique=False)
