"""Consents recorded before there were chains become chains, and go on as such (C33); SQLite and PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from outbound.domain.consent import Evidence
from outbound.services import preferences
from outbound.storage import ledger, schema
from outbound.storage.database import Database

NOW = datetime(2026, 11, 22, 9, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def old(database_url: str) -> Iterator[Database]:
    """A database as it was right before the chains."""
    database = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
    try:
        yield database
    finally:
        database.close()


def test_c33_what_was_said_before_is_chained_in_the_order_it_was_recorded(old: Database) -> None:
    rows = [
        ("e3", "ada", "withdrawn", 3),
        ("e1", "ada", "granted", 1),
        ("e2", "ben", "granted", 2),
    ]
    statement = sa.text(
        "INSERT INTO consent_event (id, customer_id, topic, channel, state, address, at, recorded_at, evidence)"
        " VALUES (:id, :who, 'news', 'email', :state, NULL, :at, :at, :evidence)"
    ).bindparams(sa.bindparam("at", type_=ledger.consent_event.c.at.type))
    with old.write() as connection:
        for identity, who, state, minute in rows:
            values = {"id": identity, "who": who, "state": state, "at": NOW + timedelta(minutes=minute)}
            connection.execute(statement, {**values, "evidence": '{"source": "form", "wording": "Sì, è vero"}'})
    schema.migrate(old)
    preferences.grant(
        old,
        customer_id="ada",
        topic="news",
        channel=None,
        evidence=Evidence(source="page"),
        now=NOW + timedelta(hours=1),
    )
    with old.read() as connection:
        verified = ledger.verify(connection)
        heads = {head.chain: head.n for head in ledger.heads(connection, ["ada", "ben"])}
    assert (verified.chains, verified.events, verified.broken) == (2, 4, ())
    assert heads == {"ada": 3, "ben": 1}
