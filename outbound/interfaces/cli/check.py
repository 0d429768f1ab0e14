"""``outbound check``: every problem of the rules and templates, with file, line, column and a suggestion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from outbound.domain.release import Files
    from outbound.domain.source import Problem
    from outbound.engine.rendering.clients import Support
    from outbound.services.kept_answers import Found


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def check(
        files: Annotated[
            list[Path] | None, typer.Argument(metavar="FILES", help="Tell only of these files; all are checked.")
        ] = None,
        rules: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Check this folder of rules (default: the workspace's).")
        ] = None,
        templates: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Likewise for templates.")] = None,
        caniemail: Annotated[
            Path | None,
            typer.Option(metavar="FOLDER", help="A copy of the caniemail repository: what mail programs lack."),
        ] = None,
        strict: Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings too.")] = False,
        output: Annotated[
            str, typer.Option("--format", metavar="FORMAT", help="text, json, or github (annotations of a workflow).")
        ] = "text",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Find every problem of rules and templates before it matters. Exit 1 on any error."""
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.progress import steps
        from outbound.services.kept_answers import answer
        from outbound.services.working_copy import read_files

        if output not in FORMATS:
            wrong_usage(f"--format takes {', '.join(FORMATS)}; not {output!r}")
        cache = None if rules and templates else _kept_answers()
        rules, templates, known = folders(rules, templates, caniemail)
        with steps("check"):
            content, support = read_files(rules, templates), _support(known)
            if files:
                _require_checked(files, content, {"rules": rules, "templates": templates})
            checked = answer(content, cache, data=support, ask=lambda: _checked(content, support))
        problems = named_by_folder(checked.problems, {"rules": rules, "templates": templates})
        if files:
            wanted = {path.resolve() for path in files}
            problems = [p for p in problems if Path(p.span.file).resolve() in wanted]
        if as_json or output == "json":
            print_json(problems)
        elif output == "github":
            for problem in problems:
                typer.echo(annotation(problem))
        else:
            for problem in problems:
                typer.echo(problem.render())
            typer.echo(summary(problems) if problems else f"{checked.rules} rules, no problem found.")
        if any(strict or problem.severity.value == "error" for problem in problems):
            raise typer.Exit(EXIT_ERROR)


def _require_checked(files: "Iterable[Path]", content: "Files", roots: "Mapping[str, Path]") -> None:
    """End with wrong usage for a file that is not looked at: to say that it has no problem would be no answer."""
    from outbound.interfaces.cli.arguments import wrong_usage

    known = {(roots[name.partition("/")[0]] / name.partition("/")[2]).resolve() for name in content}
    for path in files:
        if path.resolve() not in known:
            shown = ", ".join(str(folder) for folder in roots.values())
            wrong_usage(f"{path} is not among the files that are checked (those in {shown})")


def _checked(files: "Files", support: "Support | None") -> "Found":
    """Loads what checks only where it must be asked."""
    from outbound.services.checking import check

    return check(files, support=support)


def _support(folder: Path | None) -> "Support | None":
    """What mail programs lack; only who asks for it pays for reading it."""
    if folder is None:
        return None
    from outbound.services import caniemail

    return caniemail.read(folder)


FORMATS = ("text", "json", "github")


def folders(rules: Path | None, templates: Path | None, caniemail: Path | None) -> tuple[Path, Path, Path | None]:
    """The named folders, or those of the workspace where one is not named; the last may be in neither."""
    from outbound.interfaces.cli.context import open_context

    if rules is None or templates is None:
        with open_context() as context:
            settings = context.settings
            rules = rules or settings.rules_dir
            templates = templates or settings.templates_dir
            if caniemail is None and settings.check.caniemail:
                caniemail = settings.root / settings.check.caniemail
    return rules, templates, caniemail


def _kept_answers() -> Path:
    """Where the workspace keeps what was said before."""
    from outbound.interfaces.cli.context import open_context
    from outbound.services.kept_answers import FOLDER

    with open_context() as context:
        return context.settings.root / FOLDER


def annotation(problem: "Problem") -> str:
    """The problem as a workflow command of GitHub Actions, which shows it at its line of a pull request."""
    span = problem.span
    text = f"{problem.message} -> {problem.suggestion}" if problem.suggestion else problem.message
    places = f"line={span.line},endLine={span.line},col={span.column},endColumn={span.column + span.width}"
    return f"::{problem.severity} file={_escaped(span.file, ':,')},{places},title={problem.code}::{_escaped(text)}"


def _escaped(text: str, also: str = "") -> str:
    for character in ("%", "\r", "\n", *also):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


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
