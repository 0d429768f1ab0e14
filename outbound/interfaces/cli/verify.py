"""``outbound verify``: whether a message is really ours."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def verify(
        code: Annotated[str, typer.Argument(metavar="CODE", help="The code at the end of the message.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Say whether a message with this code is ours. When it left and on which topic. Exit 2 when none has it."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_CHANGES
        from outbound.interfaces.cli.output import print_json
        from outbound.services import releases
        from outbound.services import verification as service

        with open_context() as context:
            found = service.verify(context.database, releases.active(context.database), code)
        if as_json:
            print_json({"ours": found is not None, "message": found})
        elif found is None:
            typer.echo("no: no message of ours has this code")
        else:
            title = next(iter(found.titles.values()), "")
            said = f" ({title})" if title else ""
            typer.echo(f"yes: sent {found.at:%Y-%m-%d %H:%M} UTC on {found.topic}{said}")
        if found is None:
            raise typer.Exit(EXIT_CHANGES)
