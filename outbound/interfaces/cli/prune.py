"""``outbound prune``: take out what is older than it may be kept."""

from typing import Annotated

import typer

from outbound.interfaces.cli.exits import EXIT_ERROR


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def prune(
        *,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what is over its time.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Take out what is over its time, and prove it. The daemon does so every day.

        Messages become sums of their run, so that runs still add up. [retention] in outbound.toml says how long.
        """
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json, print_rows
        from outbound.services import retention

        with open_context() as context:
            report = retention.prune(
                context.database, context.settings.retention.periods, now=context.now(), dry_run=dry_run
            )
        if as_json:
            print_json(report)
        else:
            header = "would go" if dry_run else "gone"
            rows = [
                (one.kind, f"{one.days} days", f"{one.before:%Y-%m-%d}", one.rows, one.left) for one in report.classes
            ]
            print_rows(("what", "kept", "until", header, "left"), rows)
            print("every run adds up" if report.holds else "RUNS DO NOT ADD UP")
        if not report.proven:
            raise typer.Exit(EXIT_ERROR)
