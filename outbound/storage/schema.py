"""The version of the tables: which one the database has, which one this program needs, and the way there."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from outbound.domain.errors import OutboundError
from outbound.storage.database import Database


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
    scripts = ScriptDirectory.from_config(_config())
    need = scripts.get_current_head() or ""
    with database.read() as connection:
        have = MigrationContext.configure(connection).get_current_revision()
    known = [revision.revision for revision in scripts.walk_revisions()]
    if have is not None and have not in known:
        message = f"the database has schema {have}, which this version does not know"
        raise OutboundError("schema.newer", message, "run the newer version of outbound")
    applied = known[known.index(have) :] if have else []
    pending = tuple(reversed([revision for revision in known if revision not in applied]))
    return SchemaVersion(have=have, need=need, pending=pending)


def migrate(database: Database) -> SchemaVersion:
    """Bring the tables up to date in one transaction: killed in the middle, nothing has changed (fault F42)."""
    before = schema_version(database)
    if not before.current:
        config = _config()
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


def open_current(url: str) -> Database:
    """The database at ``url``. Raises OutboundError ``schema.old`` when it must be migrated first."""
    database = Database(url)
    try:
        require_current(database)
    except BaseException:
        database.close()
        raise
    return database


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
