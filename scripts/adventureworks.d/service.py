"""The daemon as a process of its own, and waiting until it has nothing left to do."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from outbound.config import read_settings
from outbound.services.status import status
from outbound.storage.database import Database

_LOOK_EVERY = 0.5
_QUIET_LOOKS = 4
"""So often in a row nothing may be left: the daemon has then had its turn, also where there was nothing to do."""
_DRAIN_SECONDS = 60
_TOLD_EVERY = 2.0
_MOVING = ("scheduled", "ready", "claimed", "sending")


class Daemon:
    """``outbound run`` in the background. Leaving the block ends it with SIGTERM and waits for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "daemon.log"

    def __enter__(self) -> Self:
        line = [sys.executable, "-m", "outbound", "--workspace", str(self.folder), "run", "--no-http"]
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(line, stdout=log, stderr=log)  # noqa: S603 - our own command
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self.ended:
            self._running.send_signal(signal.SIGTERM)
        try:
            status = self._running.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            status = self._running.wait()
        if status and error is None:
            raise SystemExit(f"the daemon ended with status {status}: see {self.log}")

    @property
    def ended(self) -> bool:
        """Whether it is no longer running."""
        return self._running.poll() is not None


def wait_until_at_rest(daemon: Daemon, *, deadline: float) -> None:
    """Look at the record until no event and no message waits. Ends the script after ``deadline`` seconds.

    What ``outbound status`` shows is asked for without its start: on two cores that would slow the daemon down.
    """
    database = Database(read_settings(daemon.folder).database_url)
    start, quiet, told = time.monotonic(), 0, 0.0
    try:
        while quiet < _QUIET_LOOKS:
            time.sleep(_LOOK_EVERY)
            seen, elapsed = status(database, now=datetime.now(UTC)), time.monotonic() - start
            waiting = sum(seen.states.get(state, 0) for state in _MOVING)
            at_rest = bool(seen.daemons) and not seen.pending_events and not waiting
            quiet = quiet + 1 if at_rest else 0
            left = (
                f"{seen.pending_events:,} events and {waiting:,} messages waiting, {seen.states.get('sent', 0):,} sent"
            )
            if daemon.ended:
                raise SystemExit(f"the daemon ended by itself: see {daemon.log}")
            if elapsed > deadline:
                raise SystemExit(f"after {elapsed:.0f} s there is still something to do ({left}): see {daemon.log}")
            if elapsed - told > _TOLD_EVERY or quiet == _QUIET_LOOKS:
                print(f"{elapsed:6.1f} s   {left}", flush=True)
                told = elapsed
    finally:
        database.close()
