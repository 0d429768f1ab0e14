"""``outbound event``: tell the service that something happened to a customer."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def event(
        name: Annotated[str, typer.Argument(help="An event of rules/schema.yaml, e.g. order.shipped.")],
        customer: Annotated[str, typer.Argument(help="The customer's id.")],
        values: Annotated[list[str] | None, typer.Option("--data", help="name=value, once for each field.")] = None,
        event_id: Annotated[str, typer.Option("--id", help="Your own id: the same event twice counts once.")] = "",
        happened: Annotated[str, typer.Option("--happened", metavar="TIME", help="When (default: now).")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the fields, record nothing.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Record an event. Rules that listen to it are planned by the daemon within a second."""
        from outbound.interfaces.cli.arguments import pairs
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json
        from outbound.services.events import check_event, record_event

        with open_context() as context:
            active, now = context.active(), context.now()
            data = pairs(values)
            if dry_run:
                typed = check_event(active, name=name, data=data)
                print_json({"dry_run": True, "data": typed}) if as_json else typer.echo(f"{name} would be recorded.")
                return
            recorded, new = record_event(
                context.database,
                active,
                name=name,
                customer_id=customer,
                data=data,
                event_id=event_id or None,
                at=parse_instant(happened) if happened else None,
                now=now,
                source="command line",
            )
        if as_json:
            print_json({"event": recorded, "new": new})
        else:
            typer.echo(
                f"{recorded.name} {recorded.id} {'recorded' if new else 'was recorded before: nothing changed'}."
            )
