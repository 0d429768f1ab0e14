"""``outbound resume``: let paused messages go on, in turns."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.pauses import Resumed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def resume(
        target: Annotated[str, typer.Argument(metavar="RULE|CHANNEL|all", help="What was paused.")],
        note: Annotated[str, typer.Option(metavar="TEXT", help="Why it may go on, for the record.")] = "",
        by: Annotated[str, typer.Option(metavar="NAME", help="Who resumes. Left out: who runs the command.")] = "",
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only say what would leave, and over how long.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Let what was paused go on. What is due leaves spread: by the rule's pace, else within two hours.

        Transactional and security messages leave at once.
        """
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services import pauses, releases

        with open_context() as context:
            active = releases.active(context.database)
            ruleset = active.ruleset if active else None
            key = pauses.key_of(context.database, ruleset, target)
            who = by or operator()
            done = pauses.resume(context.database, ruleset, key, by=who, note=note, now=context.now(), dry_run=dry_run)
        if as_json:
            print_json(done)
        else:
            _print(done)


def _print(done: "Resumed") -> None:
    parts = [f"due now {done.due:,}", f"expired {done.expired:,}"]
    if done.spread:
        parts.append(f"spread over {length(done.spread)}")
    if done.express:
        parts.append(f"{done.express:,} of them at once")
    if done.late:
        parts.append(f"{done.late:,} of them too late for the rule's pace")
    would = "would go on" if done.dry_run else "goes on"
    typer.echo(f"{done.switch.name} {would}: {', '.join(parts)}")
    for other in done.still:
        typer.echo(f'still paused: {other.name} ("{other.reason}")')


def length(seconds: float) -> str:
    """A stretch of time in words: ``45 s``, ``7 min``, ``2 h``, ``1 h 30 min``."""
    if seconds < 100:  # noqa: PLR2004 - below that a minute says too little
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    if hours and rest:
        return f"{hours} h {rest} min"
    return f"{hours} h" if hours else f"{minutes} min"
