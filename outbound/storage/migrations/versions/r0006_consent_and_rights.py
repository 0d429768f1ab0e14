"""Hash chains in the consent ledger, texts that came in, receipts of erasures, and what was folded into runs."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlmodel.sql import sqltypes

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sqltypes.AutoString()
_INSTANT = sqltypes.UTCDateTime()
_BATCH = 5_000


def _json() -> Any:
    return sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), "postgresql"
    )


def upgrade() -> None:
    op.add_column("run", sa.Column("folded", _json(), nullable=True))
    op.create_table(
        "consent_anchor",
        sa.Column("chain", _TEXT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("hash", _TEXT, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("chain"),
    )
    op.create_table(
        "sms_in",
        *(
            sa.Column(name, _TEXT, nullable=False)
            for name in ("id", "hash", "customer_id", "meaning", "keyword", "text", "sent_to", "effect", "review")
        ),
        sa.Column("reviewed_by", _TEXT, nullable=False),
        sa.Column("reviewed_at", _INSTANT, nullable=True),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sms_in_hash", "sms_in", ["hash"], unique=False)
    op.create_index("ix_sms_in_customer", "sms_in", ["customer_id"], unique=False)
    waiting = sa.text("review = 'open'")
    op.create_index("ix_sms_in_open", "sms_in", ["at"], unique=False, sqlite_where=waiting, postgresql_where=waiting)
    op.create_table(
        "erasure",
        *(sa.Column(name, _TEXT, nullable=False) for name in ("id", "customer_hash")),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("by", _TEXT, nullable=False),
        sa.Column("chains", _json(), nullable=False),
        sa.Column("counts", _json(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_erasure_customer", "erasure", ["customer_hash"], unique=False)
    _chain_ledger()


def _chain_ledger() -> None:
    """The events on record become chains, each customer's in the order they were recorded."""
    with op.batch_alter_table("consent_event") as batch:
        batch.add_column(sa.Column("chain", _TEXT, nullable=False, server_default=""))
        batch.add_column(sa.Column("n", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("previous", _TEXT, nullable=False, server_default=""))
        batch.add_column(sa.Column("hash", _TEXT, nullable=False, server_default=""))
    names = ("id", "customer_id", "topic", "channel", "state", "address")
    ledger = sa.table(
        "consent_event",
        *(sa.column(name, _TEXT) for name in (*names, "chain", "previous", "hash")),
        *(sa.column(name, _INSTANT) for name in ("at", "recorded_at")),
        sa.column("evidence", _json()),
        sa.column("n", sa.Integer()),
    )
    connection = op.get_bind()
    change = ledger.update().where(ledger.c.id == sa.bindparam("b_id"))
    change = change.values({name: sa.bindparam(f"b_{name}") for name in ("chain", "n", "previous", "hash")})
    rows = connection.execute(
        sa.select(ledger).order_by(ledger.c.customer_id, ledger.c.recorded_at, ledger.c.at, ledger.c.id)
    ).all()
    links: list[dict[str, Any]] = []
    chain, n, previous = "", 0, ""
    for row in rows:
        if row.customer_id != chain:
            chain, n, previous = row.customer_id, 0, ""
        n += 1
        sealed = _seal(previous, chain, n, row)
        links.append({"b_id": row.id, "b_chain": chain, "b_n": n, "b_previous": previous, "b_hash": sealed})
        previous = sealed
        if len(links) == _BATCH:
            connection.execute(change, links)
            links = []
    if links:
        connection.execute(change, links)
    linked = sa.text("n > 0")
    op.create_index(
        "ix_consent_event_chain",
        "consent_event",
        ["chain", "n"],
        unique=True,
        sqlite_where=linked,
        postgresql_where=linked,
    )


def _seal(previous: str, chain: str, n: int, row: Any) -> str:
    """As ``storage.ledger.seal`` was when this migration was written."""
    said = [row.id, row.topic, row.channel, row.state, row.address]
    when = [_utc(at).isoformat(timespec="microseconds") for at in (row.at, row.recorded_at)]
    text = json.dumps([previous, chain, n, *said, *when, row.evidence], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
