"""``outbound pause``: stop a rule, a channel, or everything, within a second."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def pause(
        target: Annotated[
            str, typer.Argument(metavar="RULE|CHANNEL|all", help="A rule's id, email, sms, push, or all.")
        ],
        reason: Annotated[str, typer.Option(metavar="TEXT", help="Why: everybody who looks will read it.")],
        by: Annotated[str, typer.Option(metavar="NAME", help="Who pauses. Left out: who runs the command.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Hold what a rule or a channel sends, or everything.

        It acts within a second and lasts until `outbound resume`. Meanwhile everything is recorded and planned as ever,
        and messages expire as ever.
        """
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services import pauses, releases

        with open_context() as context:
            active = releases.active(context.database)
            key = pauses.key_of(context.database, active.ruleset if active else None, target)
            done = pauses.pause(context.database, key, reason=reason, by=by or operator(), now=context.now())
        if as_json:
            print_json(done)
            return
        switch = done.switch
        said = f'"{switch.reason}" by {switch.by}' if switch.by else f'"{switch.reason}"'
        if done.new:
            typer.echo(
                f"{switch.name} is paused: {said}. Messages wait, and expire as ever -> outbound resume {switch.name}"
            )
        else:
            since = f" since {switch.at:%Y-%m-%d %H:%M} UTC" if switch.at else ""
            typer.echo(f"{switch.name} was paused already{since}: {said}")
