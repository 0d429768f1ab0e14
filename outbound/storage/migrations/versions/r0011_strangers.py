"""How much strangers set off on a day."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()


def upgrade() -> None:
    op.create_table(
        "stranger_count",
        sa.Column("day", _TEXT, primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
    )
