"""``outbound serve``: only the HTTP part (unsubscribe page, brand assets, health)."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        host: Annotated[str, typer.Option(help="Listen here instead of [server] host.")] = "",
        port: Annotated[int, typer.Option(help="Listen here instead of [server] port.")] = -1,
    ) -> None:
        """Answer HTTP until interrupted. `outbound run` serves as well."""
        import asyncio

        from outbound.app import build
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.http.application import Site, create
        from outbound.runtime.serving import serve_until_signal

        with open_context() as context:
            built = build(context.settings, context.database)
            server = context.settings.server
            site = create(Site(database=context.database, links=built.links))
            listen = (host or server.host, server.port if port < 0 else port)
            typer.echo(
                f"serving on http://{listen[0]}:{listen[1]} (public URL {context.settings.public_url})", err=True
            )
            asyncio.run(serve_until_signal(site, *listen))
