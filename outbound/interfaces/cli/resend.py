"""``outbound resend --failed RUN``: try again what a provider refused or never took."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.resend import Resent


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def resend(
        failed: Annotated[str, typer.Option(metavar="RUN", help="A run's id or its beginning, or RULE/SLOT.")],
        note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the timeline.")] = "",
        by: Annotated[str, typer.Option(metavar="NAME", help="Who decides. Left out: who runs the command.")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried again.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Try the failed messages of a run again.

        Those a provider refused, and those that expired while it was tried. Never one that may have arrived. The
        gate decides again: who is suppressed by now, or withdrew, gets nothing. The daemon sends them.
        """
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.report import one_run
        from outbound.services import releases
        from outbound.services.resend import resend_failed

        with open_context() as context:
            run_id = one_run(context.database, failed)
            active = releases.active(context.database)
            done = resend_failed(
                context.database,
                active.ruleset if active else None,
                run_id,
                by=by or operator(),
                note=note,
                now=context.now(),
                dry_run=dry_run,
            )
        if as_json:
            print_json(done)
        else:
            _print(done)


def _print(done: "Resent") -> None:
    from outbound.interfaces.cli.output import counted
    from outbound.interfaces.cli.resume import length

    what = ", ".join(f"{state} {count:,}" for state, count in sorted(done.states.items()))
    verb = "would be tried again" if done.dry_run else "to be tried again"
    over = f", spread over {length(done.spread)}" if done.spread else ""
    typer.echo(f"{counted(done.messages, 'message')} {verb}{f' ({what})' if what else ''}{over}")
    if done.in_doubt:
        typer.echo(f"  {done.in_doubt:,} left alone: a copy may have arrived")
    if done.uncertain:
        typer.echo(f"  {done.uncertain:,} with an unknown outcome left alone -> outbound uncertain list")
