"""A restored old snapshot does not know what was sent after it was made: it starts paused (fault F13).

The database counts marks, one at every tick in which something left, and the workspace keeps the number it has seen.
A database that has made fewer is older than what this workspace has worked with. Clocks do not matter.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import Connection

from outbound.domain.ids import new_id
from outbound.storage import mark_file, operations, runs, switches
from outbound.storage.database import Database
from outbound.storage.mark_file import Mark
from outbound.storage.switches import ALL, Switch

_INSTALLATION = "installation"
_MARK = "mark"
BY = "outbound"
"""Who paused, where nobody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The database is older than the workspace: what each has, and from when it is."""

    database: Mark | None
    workspace: Mark

    @property
    def reason(self) -> str:
        """Why everything is paused, for whoever looks at the status."""
        had = f"{self.database.at:%Y-%m-%d %H:%M} UTC" if self.database else "before its first mark"
        seen = f"{self.workspace.at:%Y-%m-%d %H:%M} UTC"
        return f"restored snapshot: the database is from {had}, and this installation went on until {seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The mark just made; ``behind`` where the database turned out to be an old copy."""

    installation: str
    mark: Mark
    behind: Behind | None


def make(database: Database, path: Path, *, now: datetime) -> Made:
    """Make the next mark in the database, having looked at the file at ``path``; ``keep`` it there afterwards.

    Where the database is behind the file, everything is paused in the same transaction and that is answered; it is
    told once, since the database then has caught up. A workspace without a mark, or with those of other
    installations, has nothing to compare: it begins.
    """
    seen = mark_file.read(path)  # before the database, which only grows: another daemon's mark is no restored copy
    behind = None
    with database.write() as connection:
        runs.lock(connection, _MARK)
        installation = runs.read_fact(connection, _INSTALLATION)
        if installation is None:
            installation = new_id(now)
            runs.write_fact(connection, _INSTALLATION, installation)
        had, known = _read(connection), seen.get(installation)
        number = had.number if had else 0
        if known is not None and known.number > number:
            behind = Behind(database=had, workspace=known)
            _pause(connection, behind, now=now)
            number = known.number
        made = Mark(number=number + 1, at=now)
        runs.write_fact(connection, _MARK, json.dumps({"mark": made.number, "at": now.isoformat()}))
    return Made(installation=installation, mark=made, behind=behind)


def keep(path: Path, made: Made) -> None:
    """Write a mark into the file, after the database has it. Raises OSError."""
    mark_file.write(path, made.installation, made.mark)


def _read(connection: Connection) -> Mark | None:
    text = runs.read_fact(connection, _MARK)
    if text is None:
        return None
    told = json.loads(text)
    return Mark(number=told["mark"], at=datetime.fromisoformat(told["at"]))


def _pause(connection: Connection, behind: Behind, *, now: datetime) -> None:
    if switches.turn_on(connection, Switch(key=ALL, reason=behind.reason, by=BY, at=now)):
        operations.record(connection, kind="pause", subject=ALL, by=BY, note=behind.reason, now=now)
