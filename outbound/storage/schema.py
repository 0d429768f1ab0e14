"""The version of the tables: which one the database has, which one this program needs, and the way there."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from outbound.domain.errors import OutboundError
from outbound.storage.database import Database

REVISIONS = tuple(f"{number:04}" for number in range(1, 17))
"""Every migration in ``migrations/versions``, oldest first. Written here so that a command need not load Alembic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """Revision names; ``have`` is None for an empty database."""

    have: str | None
    need: str
    pending: tuple[str, ...]

    @property
    def current(self) -> bool:
        """Whether the database is what this program needs."""
        return self.have == self.need


def schema_version(database: Database) -> SchemaVersion:
    """Compare the database with the program. Raises OutboundError ``schema.newer`` for a newer database."""
    with database.read() as connection:
        present = sa.inspect(connection).has_table("alembic_version")
        have = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() if present else None
    if have is not None and have not in REVISIONS:
        message = f"the database has schema {have}, which this version does not know"
        raise OutboundError("schema.newer", message, "run the newer version of outbound")
    pending = REVISIONS[REVISIONS.index(have) + 1 :] if have else REVISIONS
    return SchemaVersion(have=have, need=REVISIONS[-1], pending=pending)


def migrate(database: Database) -> SchemaVersion:
    """Bring the tables up to date in one transaction: killed in the middle, nothing has changed (fault F42).

    Answers where the database stood before.
    """
    from alembic import command  # noqa: PLC0415 - takes half a second, and only this needs it
    from alembic.config import Config  # noqa: PLC0415

    before = schema_version(database)
    if not before.current:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with database.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    return before


def require_current(database: Database) -> None:
    """Raise OutboundError ``schema.old`` unless the tables are the ones this program was written for."""
    version = schema_version(database)
    if not version.current:
        have = version.have or "empty"
        raise OutboundError("schema.old", f"the database is {have}, needed is {version.need}", "run `outbound migrate`")


def open_current(url: str, *, read_only: bool = False) -> Database:
    """The database at ``url``. Raises OutboundError ``schema.old`` when it must be migrated first."""
    database = Database(url, read_only=read_only)
    try:
        require_current(database)
    except BaseException:
        database.close()
        raise
    return database
