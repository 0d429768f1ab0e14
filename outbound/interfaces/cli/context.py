"""What a command works with: the workspace's settings, database and keys, opened when first asked for."""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from outbound.domain.errors import ConfigurationError, OutboundError

if TYPE_CHECKING:
    from outbound.config import Settings
    from outbound.domain.keyring import Keyring
    from outbound.services.releases import Active
    from outbound.storage.database import Database


class Context:
    """One command's view of the installation. Closed by the ``with`` block that opened it."""

    def __init__(self, workspace: Path, at: datetime | None = None) -> None:
        self.workspace = workspace
        self.at = at

    @cached_property
    def settings(self) -> "Settings":
        """The settings. Raises ConfigurationError."""
        from outbound.config import find_workspace, read_settings

        if not self.workspace.is_dir():
            raise ConfigurationError(f"there is no folder {self.workspace}", "name the folder of an outbound.toml")
        return read_settings(find_workspace(self.workspace))

    @cached_property
    def keyring(self) -> "Keyring":
        """The secret keys. Raises ConfigurationError."""
        return self.settings.keyring()

    @cached_property
    def database(self) -> "Database":
        """The database, at the schema this version needs. Raises OutboundError ``schema.old`` otherwise."""
        from outbound.runtime.hints import carry
        from outbound.storage.schema import open_current

        return carry(open_current(self.settings.database_url))

    @cached_property
    def reader(self) -> "Database":
        """The database opened so that nothing can be written, for commands that only look ahead.

        Raises OutboundError ``schema.old`` where it is not at the schema this version needs.
        """
        from outbound.storage.schema import open_current

        return open_current(self.settings.database_url, read_only=True)

    def active(self) -> "Active":
        """The active release. Raises OutboundError ``release.none`` before the first ``outbound apply``."""
        from outbound.services.releases import running

        return running(self.database)

    def now(self) -> datetime:
        """The wall clock, UTC: the one place where a command reads it.

        With ``--at`` it is that instant instead, which is refused (``clock.refused``) unless every adapter is
        the mailbox: a made-up hour must never reach a real person.
        """
        if self.at is None:
            return datetime.now(UTC)
        self.require_mailbox()
        return self.at

    def require_mailbox(self) -> None:
        """Raise OutboundError ``clock.refused`` where an adapter could reach a real person."""
        if not self.settings.all_mailbox:
            remedy = 'set adapter = "mailbox" for email and sms, or leave out --at'
            raise OutboundError("clock.refused", "--at works only where every adapter is the mailbox", remedy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("database", "reader"):
            if name in self.__dict__:
                self.__dict__[name].close()


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with an offset, as UTC. Raises OutboundError ``time.naive`` or ``time.format``."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise OutboundError("time.format", f"{text!r} is not a time", "write 2026-11-24T08:00+01:00") from None
    stated = moment.isoformat(timespec="minutes")
    raise OutboundError("time.naive", f"{text!r} has no offset", f"write {stated}+01:00 or {stated}Z")


_given: dict[str, Context] = {}


def remember(workspace: Path, at: datetime | None) -> None:
    """Keep the global options for the command that follows."""
    _given["context"] = Context(workspace, at)


def open_context() -> Context:
    """Open this command's context, to be used in a ``with`` block."""
    return _given.get("context") or Context(Path())
