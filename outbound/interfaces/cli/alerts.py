"""``outbound alerts``: what an operator is told of now, and whether telling works."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.interfaces.cli.context import Context
    from outbound.storage.alerts import Standing


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def alerts(
        test: Annotated[
            bool, typer.Option("--test", help="Tell every receiver under [alerts] a test, and say who took it.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """List the alerts that stand, or try who is told of them."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.services import alerts as service

        with open_context() as context:
            if test:
                troubles = _try(context)
                if as_json:
                    print_json({"receivers": troubles})
                else:
                    for name, trouble in troubles.items():
                        typer.echo(f"{name}: {trouble or 'told'}")
                if any(troubles.values()):
                    raise typer.Exit(EXIT_ERROR)
                return
            found = service.standing(context.database)
        if as_json:
            print_json(found)
        else:
            _print(found)


def _try(context: "Context") -> dict[str, str]:
    """Receiver to "", or to what went wrong."""
    from outbound.app import build
    from outbound.domain.alert import Alert, AlertKind, Notice
    from outbound.domain.errors import ConfigurationError
    from outbound.runtime import loop

    built = build(context.settings, context.database)
    receivers = built.alert_receivers()
    if not receivers:
        raise ConfigurationError("nobody is told of alerts", "write email or webhook under [alerts] in outbound.toml")
    now = context.now()
    alert = Alert(kind=AlertKind.TEST, text="This is a test of the alerts. Nothing is wrong.")

    async def tell() -> dict[str, str]:
        found = {one.name: await one.tell([Notice(alert=alert, since=now)], now=now) for one in receivers}
        await built.close()
        return found

    return loop.run(tell())


def _print(found: "list[Standing]") -> None:
    from outbound.interfaces.cli.output import alarm

    if not found:
        typer.echo("no alert stands")
    for one in found:
        name = f"{one.alert.kind}{f' {one.alert.subject}' if one.alert.subject else ''}"
        told = f"told {', '.join(sorted(one.told))}" if one.told else "told nobody yet"
        if one.over_at is not None:
            typer.echo(f"over  {name} since {one.since:%Y-%m-%d %H:%M} UTC, {told}")
            continue
        typer.echo(alarm(f"! {name} since {one.since:%Y-%m-%d %H:%M} UTC, {told}: {one.alert.text}"))
        if one.alert.remedy:
            typer.echo(f"  -> {one.alert.remedy}")
