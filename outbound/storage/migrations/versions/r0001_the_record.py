"""The record: customers, consent, rules, runs and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "active_release",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("release_id", sqltypes.AutoString(), nullable=False),
        sa.Column("activated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("activated_by", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_table(
        "address",
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("value", sqltypes.AutoString(), nullable=False),
        sa.Column("hash", sqltypes.AutoString(), nullable=False),
        sa.Column("state", sqltypes.AutoString(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "channel"),
    )
    op.create_index("ix_address_hash", "address", ["hash"], unique=False)
    op.create_index("ix_address_value", "address", ["channel", "value"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("message_id", sqltypes.AutoString(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("phase", sqltypes.AutoString(), nullable=False),
        sa.Column("endpoint", sqltypes.AutoString(), nullable=False),
        sa.Column("outcome", sqltypes.AutoString(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("enhanced", sqltypes.AutoString(), nullable=False),
        sa.Column("text", sqltypes.AutoString(), nullable=False),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("handoff_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("replied_at", sqltypes.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_attempt_message", "attempt", ["message_id"], unique=False)
    op.create_table(
        "consent",
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("topic", sqltypes.AutoString(), nullable=False),
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("state", sqltypes.AutoString(), nullable=False),
        sa.Column("address", sqltypes.AutoString(), nullable=True),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("event_id", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "topic", "channel"),
    )
    op.create_table(
        "consent_event",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("topic", sqltypes.AutoString(), nullable=False),
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("state", sqltypes.AutoString(), nullable=False),
        sa.Column("address", sqltypes.AutoString(), nullable=True),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("recorded_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column(
            "evidence",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_consent_event_customer_at", "consent_event", ["customer_id", "at"], unique=False)
    op.create_table(
        "customer",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("country", sqltypes.AutoString(), nullable=True),
        sa.Column("language", sqltypes.AutoString(), nullable=True),
        sa.Column("timezone", sqltypes.AutoString(), nullable=True),
        sa.Column("preferred_channel", sqltypes.AutoString(), nullable=True),
        sa.Column("quiet_from", sqltypes.AutoString(), nullable=True),
        sa.Column("quiet_to", sqltypes.AutoString(), nullable=True),
        sa.Column("pause_from", sa.Date(), nullable=True),
        sa.Column("pause_to", sa.Date(), nullable=True),
        sa.Column("zone_source", sqltypes.AutoString(), nullable=False),
        sa.Column(
            "attributes",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("merged_into", sqltypes.AutoString(), nullable=True),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_customer_zone", "customer", ["zone_source", "country"], unique=False)
    op.create_table(
        "customer_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("attribute", sqltypes.AutoString(), nullable=False),
        sa.Column(
            "old",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=True,
        ),
        sa.Column(
            "new",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=True,
        ),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("source", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_customer_change_customer_at", "customer_change", ["customer_id", "at"], unique=False)
    op.create_table(
        "daemon",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("host", sqltypes.AutoString(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sqltypes.AutoString(), nullable=False),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("seen_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("stopped_at", sqltypes.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "decision",
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.Column("once", sqltypes.AutoString(), nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("step", sqltypes.AutoString(), nullable=False),
        sa.Column("run_id", sqltypes.AutoString(), nullable=False),
        sa.Column("release", sqltypes.AutoString(), nullable=False),
        sa.Column("rule_version", sqltypes.AutoString(), nullable=False),
        sa.Column("verdict", sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqltypes.AutoString(), nullable=False),
        sa.Column("detail", sqltypes.AutoString(), nullable=False),
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "once", "customer_id", "step"),
    )
    op.create_index("ix_decision_customer_at", "decision", ["customer_id", "at"], unique=False)
    op.create_index(op.f("ix_decision_run_id"), "decision", ["run_id"], unique=False)
    op.create_table(
        "event",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column(
            "data",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("received_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("handled_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("source", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_event_customer_name_at", "event", ["customer_id", "name", "at"], unique=False)
    op.create_index(
        "ix_event_pending",
        "event",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("handled_at IS NULL"),
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.create_table(
        "firing",
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.Column("slot", sqltypes.AutoString(), nullable=False),
        sa.Column("zone", sqltypes.AutoString(), nullable=False),
        sa.Column("nominal", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("planned_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("note", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "slot", "zone"),
    )
    op.create_table(
        "import_batch",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqltypes.AutoString(), nullable=False),
        sa.Column("file", sqltypes.AutoString(), nullable=False),
        sa.Column("file_hash", sqltypes.AutoString(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column(
            "counts",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "installation",
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column("value", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "leg",
        sa.Column("message_id", sqltypes.AutoString(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("address", sqltypes.AutoString(), nullable=False),
        sa.Column("account", sqltypes.AutoString(), nullable=False),
        sa.Column("provider_ref", sqltypes.AutoString(), nullable=False),
        sa.Column("moved_on", sqltypes.AutoString(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "n"),
    )
    op.create_index("ix_leg_provider_ref", "leg", ["provider_ref"], unique=False)
    op.create_table(
        "manifest",
        sa.Column("run_id", sqltypes.AutoString(), nullable=False),
        sa.Column("zone", sqltypes.AutoString(), nullable=False),
        sa.Column("misses", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "zone"),
    )
    op.create_table(
        "message",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("run_id", sqltypes.AutoString(), nullable=False),
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.Column("rule_version", sqltypes.AutoString(), nullable=False),
        sa.Column("release", sqltypes.AutoString(), nullable=False),
        sa.Column("once", sqltypes.AutoString(), nullable=False),
        sa.Column("customer_id", sqltypes.AutoString(), nullable=False),
        sa.Column("step", sqltypes.AutoString(), nullable=False),
        sa.Column("template", sqltypes.AutoString(), nullable=False),
        sa.Column("variant", sqltypes.AutoString(), nullable=False),
        sa.Column("topic", sqltypes.AutoString(), nullable=False),
        sa.Column("message_class", sqltypes.AutoString(), nullable=False),
        sa.Column("lane", sqltypes.AutoString(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("channels", sqltypes.AutoString(), nullable=False),
        sa.Column(
            "context",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("not_before", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("local_time", sqltypes.AutoString(), nullable=False),
        sa.Column("zone", sqltypes.AutoString(), nullable=False),
        sa.Column("expires", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("on_uncertain", sqltypes.AutoString(), nullable=False),
        sa.Column("state", sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqltypes.AutoString(), nullable=False),
        sa.Column("detail", sqltypes.AutoString(), nullable=False),
        sa.Column("held_by", sqltypes.AutoString(), nullable=False),
        sa.Column("leg", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_until", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("worker", sqltypes.AutoString(), nullable=False),
        sa.Column("message_id", sqltypes.AutoString(), nullable=False),
        sa.Column("date", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("body_hash", sqltypes.AutoString(), nullable=False),
        sa.Column("language", sqltypes.AutoString(), nullable=False),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("updated_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("sent_at", sqltypes.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rule", "once", "customer_id", "step"),
    )
    op.create_index("ix_message_customer_at", "message", ["customer_id", "created_at"], unique=False)
    op.create_index(
        "ix_message_due",
        "message",
        ["lane", sa.literal_column("priority DESC"), "not_before"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
        postgresql_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_message_lease",
        "message",
        ["lease_until"],
        unique=False,
        sqlite_where=sa.text("state = 'claimed' OR state = 'sending'"),
        postgresql_where=sa.text("state = 'claimed' OR state = 'sending'"),
    )
    op.create_index("ix_message_run_state", "message", ["run_id", "state"], unique=False)
    op.create_index(
        "ix_message_waiting",
        "message",
        ["lane", "not_before"],
        unique=False,
        sqlite_where=sa.text("state = 'scheduled'"),
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.create_table(
        "release",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column(
            "versions",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("created_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("created_by", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "run",
        sa.Column("id", sqltypes.AutoString(), nullable=False),
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.Column("slot", sqltypes.AutoString(), nullable=False),
        sa.Column("release", sqltypes.AutoString(), nullable=False),
        sa.Column("rule_version", sqltypes.AutoString(), nullable=False),
        sa.Column("trigger", sqltypes.AutoString(), nullable=False),
        sa.Column("started_at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("planned_at", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("candidates", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rule", "slot"),
    )
    op.create_table(
        "send_request",
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.Column("key", sqltypes.AutoString(), nullable=False),
        sa.Column("run_id", sqltypes.AutoString(), nullable=False),
        sa.Column("recipients_hash", sqltypes.AutoString(), nullable=False),
        sa.Column(
            "arguments",
            sa.JSON(none_as_null=True).with_variant(
                postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
            ),
            nullable=False,
        ),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("by", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "key"),
    )
    op.create_table(
        "suppression",
        sa.Column("channel", sqltypes.AutoString(), nullable=False),
        sa.Column("scope", sqltypes.AutoString(), nullable=False),
        sa.Column("hash", sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqltypes.AutoString(), nullable=False),
        sa.Column("at", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "scope", "hash"),
    )
    op.create_index("ix_suppression_hash", "suppression", ["hash", "channel"], unique=False)
