"""``outbound event``: tell the service that something happened to a customer."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def event(
        name: Annotated[str, typer.Argument(metavar="NAME", help="An event of rules/schema.yaml, e.g. order.shipped.")],
        customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
        values: Annotated[
            list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="One field each.")
        ] = None,
        event_id: Annotated[
            str, typer.Option("--id", metavar="ID", help="Your own id: the same event twice counts once.")
        ] = "",
        happened: Annotated[str, typer.Option("--happened", metavar="TIME", help="When (default: now).")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the fields, record nothing.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Record that something happened to a customer. The daemon plans the rules that listen to it."""
        from outbound.interfaces.cli.arguments import pairs
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json
        from outbound.services import declared
        from outbound.services.events import check_event, record_event
        from outbound.storage.people import load_people

        data = pairs(values)
        at = parse_instant(happened) if happened else None
        with open_context() as context:
            schema, now = declared.running(context.database).schema, context.now()
            with context.database.read() as connection:
                known = bool(load_people(connection, [customer]))
            typed = check_event(schema, name=name, data=data)
            if not dry_run:
                recorded, new = record_event(
                    context.database,
                    schema,
                    name=name,
                    customer_id=customer,
                    data=data,
                    event_id=event_id or None,
                    at=at,
                    now=now,
                    source="command line",
                )
        if as_json:
            answer = {"dry_run": True, "data": typed} if dry_run else {"event": recorded, "new": new}
            print_json(answer | {"customer_known": known})
            return
        if dry_run:
            typer.echo(f"{name} would be recorded.")
        else:
            label = recorded.id if event_id else f"{recorded.name} {recorded.id}"
            typer.echo(f"{label} {'recorded' if new else 'was recorded before: nothing changed'}.")
        if not known:
            typer.echo(f"! there is no customer {customer!r} yet", err=True)
