"""Writers of one SQLite file take turns, those of other processes included.

SQLite lets whoever asks at the right moment write next, and makes the others look again after up to 100 ms: behind a
bulk run, which writes almost without a break, an event waited for more than a second.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: whoever asks at the right moment is next, as SQLite has it
    fcntl = None  # type: ignore[assignment]

_FIRST_LOOK, _LAST_LOOK = 0.0005, 0.005
"""Seconds between two looks: the first, and the longest after that."""


class Turn:
    """A file beside the database, locked by the one who is next to write. ``None``: there is nobody else.

    It is held only while SQLite's own lock is waited for, so that who has just written cannot go again before who
    waits. It is a courtesy, not what keeps data right: who has waited ``patience`` seconds goes on without it.
    """

    def __init__(self, path: Path | None, *, patience: float = 1.0) -> None:
        self._path = path
        self._patience = patience

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Be the next one, until the end of the block."""
        handle = self._open()
        try:
            if handle is not None:
                wait_until(lambda: _locked(handle), seconds=self._patience)
            yield
        finally:
            if handle is not None:
                os.close(handle)  # and with it goes the lock

    def _open(self) -> int | None:
        if self._path is None or fcntl is None:
            return None
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            return None


def wait_until(done: Callable[[], bool], *, seconds: float) -> bool:
    """Look until ``done``, ever more rarely. False: ``seconds`` are over."""
    deadline, pause = time.monotonic() + seconds, _FIRST_LOOK
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST_LOOK)
    return True


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks
        return True
    return True
