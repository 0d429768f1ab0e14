"""docs/cli.md, written from the command line itself. ``scripts/docs-cli`` runs this after a command changed."""

from collections.abc import Iterator
from typing import Any

import typer
from doc_pages import DOCS

from outbound.interfaces import cli

PAGE = DOCS / "cli.md"

_INTRODUCTION = """\
# The command line

Written by `scripts/docs-cli` from the program's own help; a test compares them. Every command has `--help`.
`{name}` must be given, `[name]` may be; `NAME...` may be given several times.

Exit status: 0 fine, 1 error, 2 a bar was missed (`bench`), 64 wrong usage. Errors and remarks go to standard
error, answers to standard output; `--json` makes the answer one JSON document. [errors.md](errors.md) explains
the code in brackets at the end of an error.
"""


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(cli.build())
    context = root.make_context("outbound", ["status"], resilient_parsing=True)
    return "\n".join((_INTRODUCTION, *_group(root, context)))


def _group(command: Any, context: Any) -> Iterator[str]:
    """A command with subcommands, and each of them in the order of ``--help``."""
    yield from _parameters("Before any command" if context.parent is None else "", command, context)
    for name, child in command.commands.items():
        inside = type(context)(child, info_name=name, parent=context)
        if hasattr(child, "commands"):
            yield from _group(child, inside)
        else:
            yield f"## {inside.command_path}"
            yield from _command(child, inside)


def _command(command: Any, context: Any) -> Iterator[str]:
    yield f"\n{command.help}\n"
    words = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {words}\n```\n"
    yield from _parameters("", command, context)


def _parameters(heading: str, command: Any, context: Any) -> Iterator[str]:
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in filter(None, records)]
    if rows:
        if heading:
            yield f"## {heading}\n"
        yield "\n".join(("| | |", "|---|---|", *rows, ""))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
