"""What went wrong, in one line: what, a stable code, and what to do next. Never a value, an address or a secret."""

import os
import sys
import traceback
from pathlib import Path

from outbound.domain.errors import ConfigurationError, OutboundError

_TRACEBACK = "OUTBOUND_TRACEBACK"
_PACKAGE = Path(__file__).parents[2]


def show_traceback() -> bool:
    """Whether the person at the terminal asked for tracebacks with OUTBOUND_TRACEBACK=1."""
    return os.environ.get(_TRACEBACK, "") not in {"", "0"}


def explain(error: BaseException) -> str:
    """One line about ``error`` for standard error."""
    trouble = known(error)
    if trouble is None:
        message = f"this should not have happened: {type(error).__name__}{_place(error)}"
        trouble = OutboundError("internal", message, f"run it again with {_TRACEBACK}=1 and report what it prints")
    return str(trouble)


def known(error: BaseException) -> OutboundError | ConfigurationError | None:
    """``error`` as one of ours: itself, or what a database or the system refused; None for a surprise."""
    if isinstance(error, OutboundError | ConfigurationError):
        return error
    return _database(error) or _system(error)


def _database(error: BaseException) -> OutboundError | None:
    """A database that does not answer, or is none. Other errors of it may quote values: they stay unexplained."""
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy import exc

    if isinstance(error, exc.OperationalError):
        remedy = "see [database] url in outbound.toml, OUTBOUND_DATABASE_URL, and `outbound doctor`"
        return OutboundError("database.unavailable", f"the database: {_first_line(error.orig)}", remedy)
    if isinstance(error, exc.DatabaseError) and "is not a database" in str(error.orig):
        remedy = "see [database] url in outbound.toml"
        return OutboundError("database.foreign", "the file is not a database of ours", remedy)
    if isinstance(error, exc.ArgumentError) and "URL" in str(error):
        remedy = "write sqlite:///FILE or postgresql://USER@HOST/NAME"
        return OutboundError("database.url", "the database URL cannot be read", remedy)
    return None


def _system(error: BaseException) -> OutboundError | None:
    """A file or a port that the operating system refuses."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    what = f"{error.filename}: " if error.filename else ""
    return OutboundError("system", f"{what}{os.strerror(error.errno)}", "see the name, the permissions and the disk")


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _place(error: BaseException) -> str:
    """The innermost line of our own that took part."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    if not ours:
        return ""
    return f" in {Path(ours[-1].filename).relative_to(_PACKAGE.parent)}:{ours[-1].lineno}"
