"""Pages: who asked for fewer messages, the code to check a message by."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()


def upgrade() -> None:
    op.add_column("customer", sa.Column("frequency", _TEXT, nullable=True))
    op.add_column("message", sa.Column("verify_code", _TEXT, nullable=True))
    verifiable = sa.text("verify_code IS NOT NULL")
    op.create_index(
        "ix_message_verify",
        "message",
        ["verify_code"],
        unique=False,
        sqlite_where=verifiable,
        postgresql_where=verifiable,
    )
