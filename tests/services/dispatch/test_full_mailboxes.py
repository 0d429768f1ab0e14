"""A mailbox that is off or full: tried again after days, and left alone when it stays so (delivery.md 2.5)."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, KEYRING, NOW, World, add_customers, queue

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.message import Lane
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

DAY = timedelta(days=1)
HASH = KEYRING.address_hash("email", "c0001@example.com")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False, modes=["rcpt=552 5.2.2 mailbox full for c0001"]) as server:
        yield server


def run(database: Database, server: SmtpServer, now: datetime) -> None:
    async def main() -> None:
        smtp = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
        dispatcher = World(database=database, adapters={EMAIL: smtp}).dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=now)
        await dispatcher.close()

    asyncio.run(main())


def rows(database: Database, table: sa.Table) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table)).all())


def test_the_third_day_in_fourteen_suppresses_the_address(database: Database, server: SmtpServer) -> None:
    """Tried on the days 0, 1 and 13: suppressed, that address alone, and the message ends there."""
    add_customers(database, ["c0001", "c0002"])
    queue(database, "receipt", ["c0001", "c0002"], expires=NOW + 100 * DAY)
    run(database, server, NOW)
    (first,) = (r for r in rows(database, tables.message) if r.customer_id == "c0001")
    assert NOW + DAY <= first.not_before <= NOW + 1.2 * DAY
    assert (first.state, first.attempts) == ("ready", 1)
    run(database, server, NOW + 1.3 * DAY)
    assert rows(database, tables.suppression) == []
    run(database, server, NOW + 13 * DAY)
    assert [(r.hash, r.reason) for r in rows(database, tables.suppression)] == [(HASH, "bounced.soft")]
    run(database, server, NOW + 30 * DAY)
    states = {r.customer_id: (r.state, r.reason) for r in rows(database, tables.message)}
    assert states == {"c0001": ("skipped", "suppressed"), "c0002": ("sent", "")}
    assert check(database, server.accepted()) == ()


def test_three_letters_on_one_day_suppress_nothing(database: Database, server: SmtpServer) -> None:
    """Three answers of one day tell no more than one; nor do three days of a month."""
    add_customers(database, ["c0001"])
    for rule in ("receipt", "code", "both"):
        queue(database, rule, ["c0001"], expires=NOW + 100 * DAY)
    run(database, server, NOW)
    assert len(rows(database, tables.attempt)) == 3
    assert rows(database, tables.suppression) == []


def test_days_far_apart_suppress_nothing(database: Database, server: SmtpServer) -> None:
    add_customers(database, ["c0001"])
    queue(database, "receipt", ["c0001"], expires=NOW + 100 * DAY)
    for days in (0, 8, 16, 24):
        run(database, server, NOW + days * DAY)
    assert len(rows(database, tables.attempt)) == 4
    assert rows(database, tables.suppression) == []
