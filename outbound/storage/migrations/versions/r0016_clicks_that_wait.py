"""Which link a click followed, and the clicks that wait to be judged with those around them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery_event", sa.Column("link", sqltypes.AutoString(), nullable=True))
    waits = sa.text("automated = 'waits'")
    op.create_index(
        "ix_delivery_event_waits",
        "delivery_event",
        ["received_at"],
        unique=False,
        sqlite_where=waits,
        postgresql_where=waits,
    )
