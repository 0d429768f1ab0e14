"""``outbound apply``: check the working copy and make it the running release."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def apply(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,
        include_current: Annotated[
            bool,
            typer.Option(
                "--include-current", help="New rules on changes and segments also fire for today's values and members."
            ),
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Publish rules and templates as the running release. A bad set is refused: the last good one goes on."""
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.check import named_by_folder, summary
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.services import releases

        with open_context() as context:
            settings = context.settings
            files = releases.read_files(settings.rules_dir, settings.templates_dir)
            roots = {"rules": settings.rules_dir, "templates": settings.templates_dir}
            if dry_run:
                checked = releases.check(files)
                refused, found = bool(checked.errors), checked.problems
                published = None
            else:
                answer = releases.publish(
                    context.database, files, by=operator(), now=context.now(), include_current=include_current
                )
                published = answer if isinstance(answer, releases.Published) else None
                refused = published is None
                found = answer.warnings if isinstance(answer, releases.Published) else answer
            ran = not refused or releases.any_published(context.database)
        problems = named_by_folder(found, roots)
        if as_json:
            print_json({"refused": refused, "release": published, "problems": problems, "dry_run": dry_run})
        else:
            for problem in problems:
                typer.echo(problem.render())
            if refused:
                what = "The release that ran before goes on" if ran else "Nothing runs yet: no release was published"
                typer.echo(f"Refused: {summary(problems)}. {what}.", err=True)
            elif published is None:
                typer.echo("Would be published.")
            elif published.changed:
                typer.echo(f"Release {published.id[:12]} runs now: {published.rules} rules.")
            else:
                typer.echo(f"Release {published.id[:12]} runs already: nothing changed.")
        if refused:
            raise typer.Exit(EXIT_ERROR)
