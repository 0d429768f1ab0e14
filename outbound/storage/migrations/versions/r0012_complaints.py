"""Complaints are counted by their time: mail programs judge senders by those of the last days."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    complained = sa.text("kind = 'complained'")
    op.create_index(
        "ix_delivery_event_complained",
        "delivery_event",
        ["at"],
        unique=False,
        sqlite_where=complained,
        postgresql_where=complained,
    )
