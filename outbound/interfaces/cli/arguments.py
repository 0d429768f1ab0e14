"""Arguments that several commands read."""

from collections.abc import Sequence

import typer

from outbound.interfaces.cli.exits import EXIT_USAGE


def pairs(given: Sequence[str] | None) -> dict[str, str]:
    """``["k=v", ...]`` as a mapping. Exits with wrong usage where a word is no pair, or a name comes twice."""
    found: dict[str, str] = {}
    for word in given or ():
        name, separator, value = word.partition("=")
        if not separator or not name or name in found:
            typer.echo(f"--data takes name=value, each name once; not {word!r}", err=True)
            raise typer.Exit(EXIT_USAGE)
        found[name] = value
    return found
