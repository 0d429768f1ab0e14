"""The rule engine: experiments, memberships of segments, limits of runs, costs, receipts and what caps count."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()


def upgrade() -> None:
    _add("message", sa.Column("depth", sa.Integer(), nullable=False, server_default="0"))
    _add("leg", sa.Column("cost", sa.BigInteger(), nullable=False, server_default="0"))
    _add("leg", sa.Column("receipt_at", _INSTANT, nullable=True))
    op.create_index("ix_leg_customer_at", "leg", ["customer_id", "at"], unique=False)
    unreported = sa.text("receipt_at IS NULL AND moved_on = '' AND channel <> 'email'")
    op.create_index(
        "ix_leg_unreported", "leg", ["at"], unique=False, sqlite_where=unreported, postgresql_where=unreported
    )
    for name in ("experiment", "variant"):
        _add("decision", sa.Column(name, _TEXT, nullable=False, server_default=""))
    op.drop_index("ix_decision_run_id", "decision")
    op.create_index("ix_decision_run_customer", "decision", ["run_id", "customer_id"], unique=False)
    for name in ("cost", "approved_cost"):
        _add("run", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    _add("run", sa.Column("approved_messages", sa.Integer(), nullable=False, server_default="0"))
    for name in ("currency", "limited", "approved_by"):
        _add("run", sa.Column(name, _TEXT, nullable=False, server_default=""))
    _add("run", sa.Column("approved_at", _INSTANT, nullable=True))
    document = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )
    _add("run", sa.Column("counted", document, nullable=True))
    limited = sa.text("limited <> ''")
    op.create_index("ix_run_limited", "run", ["limited"], unique=False, sqlite_where=limited, postgresql_where=limited)
    _add("customer_change", sa.Column("pending", sa.Boolean(), nullable=False, server_default=sa.false()))
    _add("customer", sa.Column("moved_from", _TEXT, nullable=True))
    moved = sa.text("moved_from IS NOT NULL")
    op.create_index("ix_customer_moved", "customer", ["id"], unique=False, sqlite_where=moved, postgresql_where=moved)
    living = sa.text("merged_into IS NULL")
    op.create_index(
        "ix_customer_zone_id",
        "customer",
        ["zone_source", "id"],
        unique=False,
        sqlite_where=living,
        postgresql_where=living,
    )
    pending = sa.text("pending")
    op.create_index(
        "ix_customer_change_pending",
        "customer_change",
        ["id"],
        unique=False,
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "experiment",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("rule", _TEXT, nullable=False),
        sa.Column(
            "definition",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("exposed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "membership",
        sa.Column("segment", _TEXT, nullable=False),
        sa.Column("customer_id", _TEXT, nullable=False),
        sa.Column("inside", sa.Boolean(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("segment", "customer_id"),
    )
    op.create_table(
        "operation",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("kind", "subject", "by", "note")),
        sa.Column(
            "details",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("message_id", "customer_id")),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_operation_customer_at", "operation", ["customer_id", "at"], unique=False)
    op.create_index("ix_operation_at", "operation", ["at"], unique=False)
    uncertain = sa.text("state = 'uncertain'")
    op.create_index(
        "ix_message_uncertain",
        "message",
        ["updated_at"],
        unique=False,
        sqlite_where=uncertain,
        postgresql_where=uncertain,
    )
    op.create_table(
        "breaker",
        *(sa.Column(name, _TEXT, nullable=False) for name in ("account", "domain")),
        sa.Column("until", _INSTANT, nullable=False),
        sa.Column("pause", sa.Integer(), nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("opened_at", _INSTANT, nullable=False),
        sa.Column("probe_until", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("account", "domain"),
    )
    op.create_table(
        "account_rate",
        sa.Column("account", _TEXT, nullable=False),
        sa.Column("next_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_table(
        "account_day",
        *(sa.Column(name, _TEXT, nullable=False) for name in ("account", "day")),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "day"),
    )


def _add(table: str, column: "sa.Column[object]") -> None:
    op.add_column(table, column)
