"""``outbound apply``: check the working copy, say what changes, and make it the running release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from outbound.domain.source import Problem
    from outbound.services.plans.applying import Applied


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def apply(
        file: Annotated[
            Path | None,
            typer.Argument(metavar="FILE", help="Publish exactly this plan of `outbound plan -o`."),
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Publish nothing.")] = False,
        include_current: Annotated[
            bool,
            typer.Option(
                "--include-current", help="New rules on changes and segments also fire for today's values and members."
            ),
        ] = False,
        accept_resend: Annotated[
            int,
            typer.Option("--accept-resend", metavar="N", min=0, help="So many may get a message again (new `once`)."),
        ] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Publish rules and templates as the running release. A bad set is refused: the last good one goes on."""
        from outbound.interfaces.cli.arguments import operator, wrong_usage
        from outbound.interfaces.cli.check import named_by_folder
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.plan import as_printed, looking
        from outbound.interfaces.cli.progress import steps
        from outbound.services import refusals, releases, working_copy
        from outbound.services.plans import applying, plan_file
        from outbound.services.ruletests.running import find_tests, refusing

        if file is not None and (include_current or accept_resend):
            wrong_usage("a plan says itself what it includes and accepts: give these options to `outbound plan`")
        with open_context() as context, steps("apply") as told:
            settings, now = context.settings, context.now()
            kept = plan_file.read(file) if file is not None else None
            roots = {"rules": settings.rules_dir, "templates": settings.templates_dir}
            files = working_copy.read_files(settings.rules_dir, settings.templates_dir)
            if failed := refusing(files, find_tests(settings.rules_dir), progress=told):
                if not dry_run:
                    refusals.record(context.database, failed, by=operator(), now=context.now())
                _refused_by_tests(named_by_folder(failed, roots), as_json=as_json, dry_run=dry_run)
            answer = applying.apply(
                context.database,
                files,
                by=operator(),
                now=now,
                kept=kept,
                ahead=looking(context, kept.until, told) if kept and kept.until else None,
                include_current=include_current,
                accept_resend=accept_resend,
                dry_run=dry_run,
                progress=told,
            )
            ran = not answer.refused or releases.any_published(context.database)
        shown = named_by_folder(answer.problems, roots)
        if as_json:
            told_before = {"refused": answer.refused, "release": answer.release, "problems": shown, "dry_run": dry_run}
            print_json({**told_before, "plan": as_printed(answer.plan, roots)})
        else:
            _print(answer, shown, ran=ran)
        if answer.refused:
            raise typer.Exit(EXIT_ERROR)


def _refused_by_tests(problems: "list[Problem]", *, as_json: bool, dry_run: bool) -> NoReturn:
    """A release whose own tests fail is not published; exit 1."""
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.output import counted, print_json

    if as_json:
        print_json({"refused": True, "release": None, "problems": problems, "dry_run": dry_run, "plan": None})
    else:
        for problem in problems:
            typer.echo(problem.render())
        failed = counted(len(problems), "rule test assertion")
        typer.echo(f"Refused: {failed} failed. The release that ran before goes on. -> outbound test", err=True)
    raise typer.Exit(EXIT_ERROR)


def _print(answer: "Applied", problems: "list[Problem]", *, ran: bool) -> None:
    from outbound.interfaces.cli.check import summary
    from outbound.interfaces.cli.plan_text import plan_lines

    for problem in problems:
        typer.echo(problem.render())
    for line in plan_lines(answer.plan) if answer.plan.active else ():
        typer.echo(line)
    if answer.refused:
        what = "The release that ran before goes on" if ran else "Nothing runs yet: no release was published"
        typer.echo(f"Refused: {summary(problems)}. {what}.", err=True)
    elif answer.release is None:
        typer.echo("Would be published.")
    elif answer.release.changed:
        typer.echo(f"Release {answer.release.id[:12]} runs now: {answer.release.rules} rules.")
    else:
        typer.echo(f"Release {answer.release.id[:12]} runs already: nothing changed.")
