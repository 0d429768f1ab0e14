"""What may be noted of a message's readers."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message", sa.Column("tracked", sqltypes.AutoString(), nullable=True))
