"""What a command works with: the workspace's settings, database and keys, opened when first asked for."""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from outbound.domain.errors import OutboundError

if TYPE_CHECKING:
    from outbound.config import Settings
    from outbound.domain.keyring import Keyring
    from outbound.services.releases import Active
    from outbound.storage.database import Database


class Context:
    """One command's view of the installation. Closed by the ``with`` block that opened it."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    @cached_property
    def settings(self) -> "Settings":
        """The settings. Raises ConfigurationError."""
        from outbound.config import find_workspace, read_settings

        return read_settings(find_workspace(self.workspace))

    @cached_property
    def keyring(self) -> "Keyring":
        """The secret keys. Raises ConfigurationError."""
        return self.settings.keyring()

    @cached_property
    def database(self) -> "Database":
        """The database, at the schema this version needs. Raises OutboundError ``schema.old`` otherwise."""
        from outbound.app import open_database

        return open_database(self.settings)

    def active(self) -> "Active":
        """The active release. Raises OutboundError ``release.none`` before the first ``outbound apply``."""
        from outbound.services.releases import active

        found = active(self.database)
        if found is None:
            raise OutboundError("release.none", "no release is active", "run `outbound apply`")
        return found

    def now(self) -> datetime:
        """The wall clock, UTC: the one place where a command reads it."""
        return datetime.now(UTC)

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *_: object) -> None:
        if "database" in self.__dict__:
            self.database.close()


_workspace = Path()


def set_workspace(path: Path) -> None:
    """Remember ``--workspace`` for the command that follows."""
    global _workspace  # noqa: PLW0603 - one process runs one command
    _workspace = path


def open_context() -> Context:
    """The context of this command: ``with open_context() as context:``."""
    return Context(_workspace)
