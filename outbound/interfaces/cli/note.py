"""``outbound note``: what a customer said at the counter or on the telephone."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def note(
        who: Annotated[str, typer.Argument(metavar="ID|EMAIL|PHONE", help="The customer.")],
        kind: Annotated[str, typer.Option(metavar="call|visit|chat|other", help="How you met.")],
        text: Annotated[str, typer.Option(metavar="TEXT", help="What was said; - reads it from standard input.")],
        about: Annotated[
            str, typer.Option(metavar="MESSAGE", help="The id of the message of ours that it answers.")
        ] = "",
        happened: Annotated[str, typer.Option("--at", metavar="TIME", help="When it was (default: now).")] = "",
        by: Annotated[str, typer.Option(metavar="NAME", help="Who spoke with the customer (default: you).")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Write down a call, a visit or a chat. It stands on the customer's timeline beside what was sent."""
        import sys

        from outbound.domain.interaction import InteractionKind
        from outbound.interfaces.cli.arguments import operator, wrong_usage
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json
        from outbound.services import customers, notes

        if kind not in {one.value for one in notes.KINDS}:
            wrong_usage(f"--kind is one of {', '.join(one.value for one in notes.KINDS)}")
        with open_context() as context:
            contact, _ = notes.note(
                context.database,
                customer_id=customers.find_one(context.database, context.keyring, who),
                kind=InteractionKind(kind),
                text=sys.stdin.read() if text == "-" else text,
                about=about,
                by=by or operator(),
                source="command line",
                at=parse_instant(happened) if happened else None,
                now=context.now(),
            )
        if as_json:
            print_json(contact)
        else:
            answers = f", answers {contact.message_id}" if contact.message_id else ""
            typer.echo(f"{contact.kind} of {contact.customer_id} noted by {contact.by}{answers}.")
