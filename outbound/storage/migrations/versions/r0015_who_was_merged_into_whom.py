"""A customer's other ids are found without reading every customer."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index(
        "ix_customer_merged", "customer", ["merged_into"], unique=False, sqlite_where=merged, postgresql_where=merged
    )
