"""F36: the disk is full at a trigger, at the handover mark, at the result, and under the log (SQLite).

Every write of this process into a file beyond its limit fails, as on a full disk; a reader keeps the log of
the database from starting over inside what it already has.
"""

import asyncio
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, World, add_customers, names, queue

from outbound.channels.base import Handover, Parcel
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.message import Lane
from outbound.domain.outcome import Outcome
from outbound.services.dispatch import writer
from outbound.storage import outbox_claims, tables
from outbound.storage.database import Database, database_now
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer


class Disk:
    """The disk of one database."""

    def __init__(self, database: Database, file: Path) -> None:
        self._log = file.with_name(f"{file.name}-wal")
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with database.write() as connection:
            connection.execute(tables.installation.insert(), {"name": "before", "value": "x" * 500_000})
        self._reader = database.engine.connect()
        self._reader.execute(sa.text("SELECT count(*) FROM message")).all()

    def fill(self) -> None:
        """From now on nothing grows."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._log.stat().st_size, self._limits[1]))

    def empty(self) -> None:
        """There is room again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def close(self) -> None:
        self.empty()
        self._reader.close()


@contextmanager
def disk(database: Database, file: Path) -> Iterator[Disk]:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    found = Disk(database, file)
    try:
        yield found
    finally:
        found.close()
        signal.signal(signal.SIGXFSZ, before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "full.db"


@pytest.fixture
def full(file: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{file}")
    tables.metadata.create_all(database.engine)
    add_customers(database, names(12))
    try:
        yield database
    finally:
        database.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


class Filling(SmtpAdapter):
    """Its disk fills up at a chosen moment of each delivery."""

    disk: Disk
    before_the_mark = False

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        async def handed() -> bool:
            if self.before_the_mark:
                self.disk.fill()
            answer = await handover()
            if not self.before_the_mark:
                self.disk.fill()
            return answer

        return await super().deliver(parcel, handed)


def dispatch(database: Database, adapter: SmtpAdapter, *, at: timedelta = timedelta()) -> None:
    async def main() -> None:
        dispatcher = World(database=database, adapters={EMAIL: adapter}).dispatcher()
        try:
            while (await dispatcher.run_slice(Lane.EXPRESS, now=NOW + at)).claimed:
                pass
        finally:
            await dispatcher.close()

    asyncio.run(main())


def smtp(server: SmtpServer) -> Filling:
    return Filling(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE, pool_size=4))


def states(database: Database) -> dict[str, int]:
    query = sa.select(tables.message.c.state, sa.func.count()).group_by(tables.message.c.state)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def recover(database: Database) -> None:
    """What the sweep does once the leases have run out."""
    with database.write() as connection:
        late = database_now(connection) + timedelta(hours=1)
        outbox_claims.recover_expired(connection, lease_now=late, now=NOW, resend_delay=timedelta(0))


def test_f36_a_trigger_on_a_full_disk_leaves_nothing_behind(full: Database, file: Path) -> None:
    with disk(full, file) as one:
        one.fill()
        with pytest.raises(sa.exc.OperationalError):
            queue(full, "receipt", names(12))
        one.empty()
        assert states(full) == {}
        queue(full, "receipt", names(12))
    assert states(full) == {"ready": 12}


def test_f36_sending_stops_before_the_handover_when_the_disk_is_full(
    full: Database, file: Path, server: SmtpServer
) -> None:
    """F36: the server has said 354, the mark cannot be written: nothing is sent, and all of it once there is room."""
    queue(full, "receipt", names(12))
    adapter = smtp(server)
    with disk(full, file) as one:
        adapter.disk, adapter.before_the_mark = one, True
        with pytest.raises(sa.exc.OperationalError):
            dispatch(full, adapter)
        assert server.accepted() == []
        one.empty()
        recover(full)
        assert states(full) == {"ready": 12}, "unspent"
    healthy = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
    dispatch(full, healthy)
    assert states(full) == {"sent": 12}
    assert check(full, server.accepted()) == ()


def test_f36_a_result_that_cannot_be_written_is_unknown_and_never_sent_again(
    full: Database, file: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_FIRST_WAIT", 0.001)  # it keeps trying for six seconds
    queue(full, "receipt", ["c0001"])
    adapter = smtp(server)
    with disk(full, file) as one:
        adapter.disk = one
        with pytest.raises(sa.exc.OperationalError):
            dispatch(full, adapter)
        assert len(server.accepted()) == 1
        one.empty()
        recover(full)
    assert states(full) == {"uncertain": 1}
    healthy = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
    dispatch(full, healthy, at=timedelta(hours=5))
    assert len(server.accepted()) == 1
    assert check(full, server.accepted()) == ()


def test_f36_a_result_is_written_when_room_is_made_in_time(
    full: Database, file: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F36: the writer keeps what it knows and tries again."""
    queue(full, "receipt", ["c0001"])
    adapter = smtp(server)
    with disk(full, file) as one:
        adapter.disk = one
        real = asyncio.sleep

        async def make_room(seconds: float) -> None:
            if seconds == writer._FIRST_WAIT:
                one.empty()
            await real(0 if seconds < 1 else seconds)

        monkeypatch.setattr(writer.asyncio, "sleep", make_room)
        dispatch(full, adapter)
    assert states(full) == {"sent": 1}
    assert check(full, server.accepted()) == ()
