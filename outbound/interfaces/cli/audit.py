"""``outbound audit``: who saw, exported or changed what."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def audit(
        about: Annotated[str, typer.Argument(metavar="[ID]", help="A customer, message, run or switch.")] = "",
        *,
        by: Annotated[str, typer.Option(metavar="NAME", help="Only what this person did.")] = "",
        kind: Annotated[str, typer.Option(metavar="KIND", help="Only kinds that begin so (customer., consent.).")] = "",
        since: Annotated[str, typer.Option(metavar="TIME", help="Only from then on.")] = "",
        limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 50,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """List who saw, exported and changed what.

        Also who erased, paused, resumed and resolved; the newest first.
        """
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json, print_rows
        from outbound.services import audit as trail

        start = parse_instant(since) if since else None
        with open_context() as context:
            found = trail.listed(context.database, by=by, about=about, kind=kind, since=start, limit=limit)
        if as_json:
            print_json(found)
            return
        if not found:
            typer.echo("nothing on record")
            return
        rows = [(f"{one.at:%Y-%m-%d %H:%M:%S}", one.by, one.kind, one.subject, one.note) for one in found]
        print_rows(("when (UTC)", "who", "what", "about", "note"), rows)
