"""Writers of one SQLite file take turns: nobody overtakes who waits, and nobody waits for a turn for ever."""

import fcntl
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from outbound.storage.database import Database
from outbound.storage.turns import Turn


def test_who_has_just_written_does_not_overtake_who_waits(tmp_path: Path) -> None:
    """Without turns the one that goes on writing is quicker every time: the other one looks again too late."""
    url = f"sqlite:///{tmp_path / 'one.db'}"
    busy, waiting, order = Database(url), Database(url), []
    asked = threading.Event()

    def other() -> None:
        asked.set()
        with waiting.write():
            order.append("other")

    thread = threading.Thread(target=other)
    with busy.write() as connection:
        connection.execute(sa.text("CREATE TABLE one (n INTEGER)"))
        thread.start()
        asked.wait()
        while not _held(tmp_path / ".one.db-turn"):
            time.sleep(0.001)
        order.append("busy")
    with busy.write():
        order.append("busy again")
    thread.join()
    assert order == ["busy", "other", "busy again"]
    busy.close()
    waiting.close()


def test_a_turn_that_is_never_given_on_is_not_waited_for_longer_than_patience(tmp_path: Path) -> None:
    path = tmp_path / "turn"
    with path.open("w") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        with Turn(path, patience=0.01).taken():
            pass
        database = Database(f"sqlite:///{tmp_path / 'one.db'}")
        with database.write() as connection:
            connection.execute(sa.text("CREATE TABLE one (n INTEGER)"))
        database.close()


def test_who_may_not_write_beside_the_database_goes_without_a_turn(tmp_path: Path) -> None:
    with Turn(tmp_path / "absent" / "turn").taken(), Turn(None).taken():
        pass


def test_a_lock_that_is_not_given_within_its_time_is_an_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    busy, hasty = Database(url), Database(url, wait=0.02)
    with busy.write(), pytest.raises(sa.exc.OperationalError, match="database is locked"), hasty.write():
        pass
    with hasty.write():
        pass
    busy.close()
    hasty.close()


def _held(path: Path) -> bool:
    """Whether somebody is next already."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
