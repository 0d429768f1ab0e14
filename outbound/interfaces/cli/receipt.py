"""``outbound receipt``: a provider has delivered a message."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def receipt(
        reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The provider's own reference.")],
        delivered: Annotated[str, typer.Option("--delivered", metavar="TIME", help="When (default: now).")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Note that a provider delivered a message.

        No other channel then takes it over for want of a receipt.
        """
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json
        from outbound.services import receipts

        at = parse_instant(delivered) if delivered else None
        with open_context() as context:
            noted = receipts.note(context.database, reference, at=at or context.now())
        if as_json:
            print_json({"messages": list(noted.message_ids), "new": noted.new})
            return
        news = "delivered" if noted.new else "was reported before: nothing changed"
        typer.echo(f"{', '.join(noted.message_ids)} {news}.")
