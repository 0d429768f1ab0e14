"""Arguments that several commands read, and who gave them."""

from collections.abc import Sequence
from typing import NoReturn

import typer

from outbound.interfaces.cli.exits import EXIT_USAGE
from outbound.interfaces.cli.output import print_error


def wrong_usage(message: str) -> NoReturn:
    """End the command as one that was called wrongly."""
    print_error(f"outbound: {message}")
    raise typer.Exit(EXIT_USAGE)


def pairs(given: Sequence[str] | None, option: str = "--data") -> dict[str, str]:
    """``["k=v", ...]`` as a mapping. Exits with wrong usage where a word is no pair, or a name comes twice."""
    found: dict[str, str] = {}
    for word in given or ():
        name, separator, value = word.partition("=")
        if not separator or not name or name in found:
            wrong_usage(f"{option} takes name=value, each name once; not {word!r}")
        found[name] = value
    return found


def operator() -> str:
    """The login name of whoever runs the command; their number where the system knows no name (containers)."""
    import getpass
    import os

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}"
