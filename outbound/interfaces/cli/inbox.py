"""``outbound inbox list|show|again``: what providers and mailboxes brought, as it came."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Look at what came in, and work on it again.")
    app.add_typer(group, name="inbox")

    @group.command(name="list")
    def list_(
        provider: Annotated[str, typer.Option(metavar="NAME", help="Only of this provider, or mail.")] = "",
        trouble: Annotated[bool, typer.Option("--trouble", help="Only what could not be worked on.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """List the newest, with what became of them."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json, print_rows
        from outbound.storage import inbox

        with open_context() as context, context.database.read() as connection:
            found = inbox.listed(connection, provider=provider, troubled=trouble, limit=limit)
        rows = [
            (
                one.id,
                f"{one.received_at:%Y-%m-%d %H:%M:%S}",
                one.provider,
                one.trouble or ("done" if one.processed_at else "waiting"),
                len(one.raw),
            )
            for one in found
        ]
        columns = ("id", "received (UTC)", "provider", "state", "bytes")
        if as_json:
            print_json([dict(zip(columns, row, strict=True)) for row in rows])
        elif rows:
            print_rows(columns, rows)
        else:
            typer.echo("nothing came in")

    @group.command()
    def show(
        identity: Annotated[str, typer.Argument(metavar="ID", help="An id of the list.")], as_json: AsJson = False
    ) -> None:
        """Print one as it came. It may name people."""
        from outbound.domain.errors import OutboundError
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.storage import inbox

        with open_context() as context, context.database.read() as connection:
            found = inbox.find(connection, identity)
        if found is None:
            raise OutboundError(
                "inbox.unknown", f"nothing came in as {identity}", "`outbound inbox list` shows the ids"
            )
        raw = found.raw.decode("utf-8", "replace")
        if as_json:
            print_json({"id": found.id, "provider": found.provider, "received_at": found.received_at, "raw": raw})
            return
        typer.echo(raw)

    @group.command()
    def again(
        identities: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of the list.")],
        as_json: AsJson = False,
    ) -> None:
        """Work on them once more. What they changed already, they do not change again."""
        from outbound.app import build
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import counted, print_json
        from outbound.storage import inbox

        with open_context() as context:
            built = build(context.settings, context.database)
            with context.database.write() as connection:
                inbox.again(connection, identities)
            worked = built.inbox().work(now=context.now())
        if as_json:
            print_json(worked)
            return
        typer.echo(f"{counted(worked.received, 'request')} worked on: {counted(worked.news, 'piece')} of news were new")
        if worked.troubled:
            typer.echo(f"! {worked.troubled:,} could not be worked on", err=True)
