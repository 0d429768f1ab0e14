"""``outbound worker``: one more process that sends, on any machine that reaches the database."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.interfaces.cli.context import Context
    from outbound.runtime.daemon import Daemon


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def worker(
        with_parent: Annotated[
            bool, typer.Option("--with-parent", hidden=True, help="Drain when standard input closes.")
        ] = False,
    ) -> None:
        """Send what is due beside `outbound run`, until SIGTERM. It plans nothing and answers no HTTP."""
        from outbound.app import build
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.logs import log_to_stderr
        from outbound.runtime.crew import until_parent_ends
        from outbound.runtime.daemon import Daemon
        from outbound.services.presence import Role

        with open_context() as context:
            require_fleet(context)
            log_to_stderr()
            built = build(context.settings, context.database)
            work(Daemon(built, None, role=Role.WORKER, beside=[until_parent_ends] if with_parent else []))


def require_fleet(context: "Context") -> None:
    """Raise OutboundError ``fleet.sqlite`` where one process owns the database."""
    from outbound.domain.errors import OutboundError

    if context.database.is_sqlite:
        remedy = "write the URL of a PostgreSQL under [database], or run one process (docs/scale.md)"
        raise OutboundError("fleet.sqlite", "several processes need PostgreSQL; this is SQLite", remedy)


def work(daemon: "Daemon") -> None:
    """Run a daemon to its end. Exits with an error where it did not drain."""
    import os

    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.runtime import loop

    async def main() -> None:
        if not await daemon.run():
            os._exit(EXIT_ERROR)  # not later: leaving in order would wait for threads that are still at work

    loop.run(main())
