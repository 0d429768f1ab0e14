"""``outbound serve``: only the HTTP part: customers' pages, brand assets, health."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        host: Annotated[str, typer.Option(metavar="HOST", help="Listen here instead of [server] host.")] = "",
        port: Annotated[
            int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Listen here instead of [server] port.")
        ] = None,
    ) -> None:
        """Answer HTTP until interrupted. `outbound run` serves as well."""
        from outbound.app import build
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.http.service import listen
        from outbound.interfaces.logs import log_to_stderr
        from outbound.runtime import loop
        from outbound.runtime.serving import serve_until_signal

        with open_context() as context:
            built = build(context.settings, context.database)
            listener = listen(built, now=context.now, host=host, port=port)
            where = f"http://{listener.host}:{listener.port}"
            typer.echo(f"serving on {where} (public URL {context.settings.public_url})", err=True)
            log_to_stderr()
            loop.run(serve_until_signal(listener))
