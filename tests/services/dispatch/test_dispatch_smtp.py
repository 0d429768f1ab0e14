"""The way of a message over real SMTP."""

import asyncio
from pathlib import Path

import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.message import Lane, MessageState
from outbound.services.dispatch import SliceReport
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.smtp_server import SmtpServer


def _adapter(port: int) -> SmtpAdapter:
    return SmtpAdapter(SmtpSettings(host="127.0.0.1", port=port, tls=Tls.NONE))


def test_a_slice_reaches_the_server_and_the_record_says_so(database: Database, tmp_path: Path) -> None:
    """Accepted = sent, one each; attempts replied, legs with the address, bytes as hashed."""
    add_customers(database, names(30))
    queue(database, "news", names(30))
    with SmtpServer(tmp_path) as server:
        world = World(database=database, adapters={EMAIL: _adapter(server.port)})

        async def main() -> SliceReport:
            dispatcher = world.dispatcher()
            report = await dispatcher.run_slice(Lane.BULK, now=NOW)
            again = await dispatcher.run_slice(Lane.BULK, now=NOW)
            assert again.claimed == 0
            await dispatcher.close()
            return report

        report = asyncio.run(main())
        accepted = server.accepted()
    assert (report.claimed, report.states) == (30, {MessageState.SENT: 30})
    assert sorted(a.recipient for a in accepted) == [f"{c}@example.com" for c in names(30)]
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.message)).all()
        assert {row.state for row in rows} == {"sent"}
        assert {row.message_id: row.body_hash for row in rows} == {a.reference: a.sha256 for a in accepted}
        assert {row.release for row in rows} == {"r1"}
        attempts = connection.execute(sa.select(tables.attempt)).all()
        assert {(a.phase, a.outcome, a.code, a.n) for a in attempts} == {("replied", "accepted", 250, 1)}
        legs = connection.execute(sa.select(tables.leg)).all()
        assert {leg.address for leg in legs} == {f"{c}@example.com" for c in names(30)}
