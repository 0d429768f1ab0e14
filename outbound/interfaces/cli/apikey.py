"""``outbound apikey create|list|revoke``: who may call the API, and what they may do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.domain.access import ApiKey

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Make, list and revoke keys of the API.")
    app.add_typer(group, name="apikey")

    @group.command()
    def create(
        name: Annotated[str, typer.Argument(metavar="NAME", help="The program that will use it.")],
        *,
        scope: Annotated[
            list[str] | None,
            typer.Option(metavar="SCOPE", help="What it may do, e.g. events:write; repeat it, give few."),
        ] = None,
        expires: Annotated[str, typer.Option(metavar="TIME", help="When it ends. Left out: when it is revoked.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Make a key and print its secret, which is shown this once."""
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context, parse_instant
        from outbound.interfaces.cli.output import print_json
        from outbound.services import api_keys

        with open_context() as context:
            key, secret = api_keys.create(
                context.database,
                name=name,
                scopes=scope or (),
                expires_at=parse_instant(expires) if expires else None,
                by=operator(),
                now=context.now(),
            )
        if as_json:
            print_json({**_as_json(key), "secret": secret})
            return
        typer.echo(f"{key.name}: {', '.join(sorted(key.scopes))}")
        typer.echo(secret)
        typer.echo("Keep it now: it is not shown again.", err=True)

    @group.command(name="list")
    def list_(*, as_json: AsJson = False) -> None:
        """List all keys, the newest first. Revoke those that nobody uses."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json, print_rows
        from outbound.services import api_keys

        with open_context() as context:
            keys, now = api_keys.listed(context.database), context.now()
        if as_json:
            print_json([_as_json(key) | {"state": _state(key, now)} for key in keys])
            return
        print_rows(
            ("prefix", "name", "state", "last used", "scopes"),
            [(k.prefix, k.name, _state(k, now), k.last_used or "never", ", ".join(sorted(k.scopes))) for k in keys],
        )

    @group.command()
    def revoke(
        prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="As `outbound apikey list` shows it.")],
        *,
        note: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """End a key: within a second every process refuses it."""
        from outbound.interfaces.cli.arguments import operator
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services import api_keys

        with open_context() as context:
            new = api_keys.revoke(context.database, prefix, by=operator(), note=note, now=context.now())
        if as_json:
            print_json({"prefix": prefix, "revoked": new})
        else:
            typer.echo(f"{prefix} {'is revoked' if new else 'was revoked before: nothing changed'}.")


def _as_json(key: "ApiKey") -> dict[str, Any]:
    import dataclasses

    return {**dataclasses.asdict(key), "scopes": sorted(key.scopes)}


def _state(key: "ApiKey", now: "datetime") -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if not key.live(now):
        return "expired"
    return f"until {key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "live"
