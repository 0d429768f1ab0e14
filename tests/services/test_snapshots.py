"""The mark inside and outside of the database: an old copy is known by it, and nothing else is taken for one (F13)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from outbound.services import pauses, snapshots
from outbound.storage import mark_file, switches, tables
from outbound.storage.database import Database

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def tick(database: Database, path: Path, seconds: int = 0) -> snapshots.Behind | None:
    made = snapshots.make(database, path, now=NOW + timedelta(seconds=seconds))
    snapshots.keep(path, made)
    return made.behind


def facts(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {row.name: row.value for row in connection.execute(sa.select(tables.installation))}


def restore(database: Database, copy: dict[str, str]) -> None:
    """The facts as they were: all that a copy made then differs in, as far as marks are concerned."""
    with database.write() as connection:
        connection.execute(tables.installation.delete())
        connection.execute(tables.installation.insert(), [{"name": n, "value": v} for n, v in copy.items()])


def paused(database: Database) -> list[str]:
    with database.read() as connection:
        return [f"{one.key} {one.reason}" for one in switches.switches(connection).values()]


def test_f13_a_database_that_is_behind_its_workspace_is_paused_until_somebody_resumes(
    database: Database, tmp_path: Path
) -> None:
    """F13, whatever the clock says; also under a running daemon. After the word of an operator it runs as ever."""
    path = tmp_path / mark_file.NAME
    assert [tick(database, path, n) for n in range(3)] == [None, None, None]
    copy = facts(database)
    assert tick(database, path, 60) is None
    restore(database, copy)
    behind = tick(database, path, 3)
    assert behind is not None
    assert paused(database) == [f"all {behind.reason}"]
    assert behind.reason == (
        "restored snapshot: the database is from 2026-11-24 10:00 UTC, and this installation went on until "
        "2026-11-24 10:01 UTC"
    )
    assert tick(database, path, 4) is None, "told once"
    assert paused(database), "and still paused, over restarts too"
    pauses.resume(database, None, "all", by="mia", now=NOW)
    assert tick(database, path, 5) is None
    assert paused(database) == []
    restore(database, copy)
    assert tick(database, path, 6) is not None, "the same old copy a second time is an old copy"


def test_a_first_start_a_lost_file_and_a_broken_one_are_no_restored_copies(database: Database, tmp_path: Path) -> None:
    """A missing mark is a first start: on another machine, or after a move without the file."""
    path = tmp_path / mark_file.NAME
    assert tick(database, path) is None
    path.unlink()
    assert tick(database, path, 1) is None
    for broken in ("", "{", "[1]", '{"x": 3}', '{"x": {"mark": "a", "at": "b"}}'):
        path.write_text(broken)
        assert tick(database, path, 2) is None
    assert paused(database) == []


def test_a_move_and_a_second_daemon_are_no_restored_copies(database: Database, tmp_path: Path) -> None:
    """Moved with its file, or worked on from two machines with a file each: the database only ever gets further."""
    here, there = tmp_path / "here", tmp_path / "there"
    assert tick(database, here) is None
    there.write_text(here.read_text())
    for n in range(5):
        assert tick(database, here, n) is None
    assert tick(database, there, 6) is None
    assert tick(database, here, 7) is None
    early = mark_file.read(here)
    snapshots.make(database, here, now=NOW)  # two in one workspace: this one has not written yet ...
    assert tick(database, here, 8) is None  # ... when the other has
    assert mark_file.read(here).keys() == early.keys()


def test_another_database_in_the_same_workspace_has_its_own_marks(database: Database, tmp_path: Path) -> None:
    path = tmp_path / mark_file.NAME
    for n in range(5):
        tick(database, path, n)
    with database.write() as connection:
        connection.execute(tables.installation.delete())  # a fresh database
    assert tick(database, path, 6) is None
    assert len(mark_file.read(path)) == 2


def test_a_lower_mark_never_replaces_a_higher_one(tmp_path: Path) -> None:
    path = tmp_path / mark_file.NAME
    mark_file.write(path, "x", mark_file.Mark(number=7, at=NOW))
    mark_file.write(path, "x", mark_file.Mark(number=6, at=NOW))
    assert mark_file.read(path)["x"].number == 7


def test_a_workspace_that_cannot_be_written_says_so(database: Database, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        tick(database, tmp_path / "gone" / mark_file.NAME)
