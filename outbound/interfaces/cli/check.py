"""``outbound check``: every problem of the rules and templates, with file, line, column and a suggestion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from outbound.domain.source import Problem


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def check(
        rules: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Check this folder of rules (default: the workspace's).")
        ] = None,
        templates: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Likewise for templates.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Find every problem of rules and templates before it matters. Exit 1 on any error."""
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.services import releases

        rules, templates = folders(rules, templates)
        checked = releases.check(releases.read_files(rules, templates))
        problems = named_by_folder(checked.problems, {"rules": rules, "templates": templates})
        if as_json:
            print_json(problems)
        else:
            for problem in problems:
                typer.echo(problem.render())
            rules_found = len(checked.ruleset.rules) if checked.ruleset else 0
            typer.echo(summary(problems) if problems else f"{rules_found} rules, no problem found.")
        if checked.errors:
            raise typer.Exit(EXIT_ERROR)


def folders(rules: Path | None, templates: Path | None) -> tuple[Path, Path]:
    """The named folders, or those of the workspace where one is not named."""
    from outbound.interfaces.cli.context import open_context

    if rules is None or templates is None:
        with open_context() as context:
            rules = rules or context.settings.rules_dir
            templates = templates or context.settings.templates_dir
    return rules, templates


def named_by_folder(problems: "Iterable[Problem]", roots: "Mapping[str, Path]") -> "list[Problem]":
    """The problems with paths an editor can open: ``rules/x.yaml`` becomes the real file."""
    import os
    from dataclasses import replace

    def real(name: str) -> str:
        prefix, _, rest = name.partition("/")
        path = roots[prefix] / rest if prefix in roots else Path(name)
        shown = os.path.relpath(path)
        return str(path) if shown.startswith("..") else shown

    return [replace(p, span=replace(p.span, file=real(p.span.file))) for p in problems]


def summary(problems: "Iterable[Problem]") -> str:
    """``2 errors, 1 warning``."""
    found = [problem.severity.value for problem in problems]
    counts = ((found.count(word), word) for word in ("error", "warning"))
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts if n)
