"""``outbound plan``: what publishing the files would change, before anything is published or sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from outbound.interfaces.cli.context import Context
    from outbound.services.plans.outlook import Ahead
    from outbound.services.plans.planned import Plan


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def plan(
        output: Annotated[
            Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save the plan for `outbound apply FILE`.")
        ] = None,
        days: Annotated[
            str, typer.Option("--next", metavar="DURATION", help="How far to look ahead: 7d, 48h; 0d only compares.")
        ] = "7d",
        rule: Annotated[str, typer.Option("--rule", metavar="RULE", help="Only this rule, with every detail.")] = "",
        include_current: Annotated[
            bool, typer.Option("--include-current", help="As for apply: new rules fire for what is there today.")
        ] = False,
        accept_resend: Annotated[
            int,
            typer.Option("--accept-resend", metavar="N", min=0, help="So many may get a message again (new `once`)."),
        ] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Compare the running release with the files, and look ahead. Exit 0 no change, 2 changes, 1 error."""
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_CHANGES, EXIT_ERROR
        from outbound.interfaces.cli.output import plain, print_json
        from outbound.interfaces.cli.progress import steps
        from outbound.services import working_copy
        from outbound.services.plans import plan_file
        from outbound.services.plans.planned import make_plan

        if output is not None and rule:
            wrong_usage("a plan to apply is about all rules: leave out --rule or -o")
        length = _length(days)
        with open_context() as context, steps("plan") as told:
            settings, now = context.settings, context.now()
            files = working_copy.read_files(settings.rules_dir, settings.templates_dir)
            roots = {"rules": settings.rules_dir, "templates": settings.templates_dir}
            made = make_plan(
                context.reader,
                files,
                now=now,
                ahead=looking(context, now + length, told) if length else None,
                include_current=include_current,
                accept_resend=accept_resend,
                only=rule,
                progress=told,
            )
        shown = as_printed(made, roots)
        saved = output is not None and not made.errors
        if output is not None and saved:
            plan_file.write(output, plan_file.of_plan(made, files, accept_resend=accept_resend), plain(shown))
        if as_json:
            print_json({**shown, "saved": str(output) if saved else None})
        else:
            print_plan(made, roots, rule=rule, output=output)
        if made.errors:
            raise typer.Exit(EXIT_ERROR)
        if made.changes:
            raise typer.Exit(EXIT_CHANGES)


def looking(context: "Context", until: "datetime", told: "Callable[[str], None]") -> "Ahead":
    """How a plan looks ahead in this installation."""
    from outbound.app import accounts
    from outbound.services.plans.outlook import Ahead

    return Ahead(
        url=context.settings.database_url,
        until=until,
        accounts=accounts(context.settings),
        keyring=context.keyring,
        progress=lambda now: told(f"{now:%a %d %b}"),
    )


def _length(text: str) -> "timedelta":
    """``7d`` or ``48h``, at most a year. Exits with wrong usage for anything else."""
    import re
    from datetime import timedelta

    from outbound.interfaces.cli.arguments import wrong_usage

    match = re.fullmatch(r"(\d{1,4})([hdw])", text)
    hours = int(match[1]) * {"h": 1, "d": 24, "w": 168}[match[2]] if match else None
    if hours is None or hours > _MOST_HOURS:
        wrong_usage(f"--next takes a duration such as 7d or 48h, at most a year; not {text!r}")
    return timedelta(hours=hours)


_MOST_HOURS = 366 * 24


def as_printed(made: "Plan", roots: dict[str, Path]) -> dict[str, Any]:
    """The plan as one JSON object, with the files of its problems as an editor opens them."""
    from outbound.interfaces.cli.check import named_by_folder
    from outbound.interfaces.cli.output import plain

    return {**plain(made), "changes": made.changes, "problems": plain(named_by_folder(made.problems, roots))}


def print_plan(made: "Plan", roots: dict[str, Path], *, rule: str = "", output: Path | None = None) -> None:
    """The problems, what differs, and the summary last."""
    from outbound.interfaces.cli.check import named_by_folder, summary
    from outbound.interfaces.cli.outlook_text import outlook_lines
    from outbound.interfaces.cli.plan_text import plan_lines, summary_line

    for problem in named_by_folder(made.problems, roots):
        typer.echo(problem.render())
    for line in plan_lines(made, detailed=bool(rule)):
        typer.echo(line)
    if made.outlook is not None:
        for line in outlook_lines(made.outlook, rule=rule):
            typer.echo(line)
    saved = f" Plan saved: outbound apply {output}" if output and not made.errors else ""
    if made.errors:
        what = f": plan {output} not saved" if output else ""
        typer.echo(f"{summary_line(made)} {summary(made.problems)}{what}.")
    else:
        typer.echo(f"{summary_line(made)}{saved}")
