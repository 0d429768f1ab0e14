"""How long what a killed worker held lies still: SIGKILL in a bulk run, another daemon beside it (F03)."""

import signal
import statistics
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from outbound.services.bench.figure import Figure
from outbound.storage.database import Database
from outbound.storage.outbox import state_is
from outbound.storage.outbox_claims import LEASED
from outbound.storage.tables import message
from outbound.testing.bench.latency import Fresh, daemon, on_postgres, on_sqlite, publish, queue, wait_for, write
from outbound.testing.smtp_server import SmtpServer

_BAR = 40.0
_BULK, _SENT = 25_000, 200
_RUNS = 3
_LOOK = 0.1


def measure(quick: bool) -> list[Figure]:
    """On both databases; ``quick`` once each."""
    return [_figure("recover_killed", on_sqlite, quick), _figure("recover_killed_pg", on_postgres, quick)]


def _figure(name: str, fresh: Fresh, quick: bool) -> Figure:
    runs = [_once(fresh) for _ in range(1 if quick else _RUNS)]
    value = statistics.median(seconds for seconds, _ in runs)
    held = ", ".join(str(count) for _, count in runs)
    return Figure(
        name=name,
        value=value,
        unit="s",
        bar=f"<= {_BAR:.0f} s",
        met=max(seconds for seconds, _ in runs) <= _BAR,
        what=f"from SIGKILL until the last of the messages it held is on its way again ({held} held)",
    )


def _once(fresh: Fresh) -> tuple[float, int]:
    """Seconds, and how many messages the dead one held."""
    with (
        tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder,
        fresh() as given,
        SmtpServer(Path(folder), keep=False) as server,
    ):
        workspace = Path(folder) / "shop"
        write(workspace, server.port, given)
        database = Database(given or f"sqlite:///{workspace / 'outbound.db'}")
        try:
            publish(database, _BULK)
            queue(database, _BULK)
            with daemon(workspace) as doomed, daemon(workspace):
                wait_for(server, _SENT, database)
                while not _held(database, f":{doomed.pid}:"):
                    time.sleep(_LOOK / 10)
                doomed.send_signal(signal.SIGKILL)
                killed = time.monotonic()
                doomed.wait()
                held = _held(database, f":{doomed.pid}:")
                while set(held.items()) & set(_held(database, f":{doomed.pid}:").items()):
                    time.sleep(_LOOK)
                return time.monotonic() - killed, len(held)
        finally:
            database.close()


def _held(database: Database, process: str) -> dict[str, int]:
    """The messages that a process has under lease, with their tokens."""
    query = sa.select(message.c.id, message.c.lease_token).where(state_is(*LEASED), message.c.worker.contains(process))
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}
