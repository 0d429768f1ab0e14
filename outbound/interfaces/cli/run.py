"""``outbound run``: the daemon, or a stretch of time on a virtual clock."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.interfaces.cli.context import Context


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        at: Annotated[str, typer.Option(metavar="TIME", help="Start a virtual clock at TIME (mailbox only).")] = "",
        until: Annotated[str, typer.Option(metavar="TIME", help="Stop the virtual clock there.")] = "",
        no_http: Annotated[bool, typer.Option("--no-http", help="Do not answer HTTP in this process.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON (virtual clock only).")] = False,
    ) -> None:
        """Plan, dispatch, recover and serve until SIGTERM; or run the hours from --at to --until at once."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_USAGE

        if bool(at) != bool(until):
            typer.echo("outbound run: --at and --until go together", err=True)
            raise typer.Exit(EXIT_USAGE)
        with open_context() as context:
            if at:
                _virtual(context, at, until, as_json=as_json)
            else:
                _daemon(context, http=not no_http)


def _daemon(context: "Context", *, http: bool) -> None:
    import asyncio

    from outbound.app import build
    from outbound.interfaces.http.application import Site, create
    from outbound.interfaces.logs import log_to_stderr
    from outbound.runtime.daemon import Daemon

    log_to_stderr()
    built = build(context.settings, context.database)
    site = create(Site(database=context.database, links=built.links)) if http else None

    async def main() -> None:
        await Daemon(built, site).run()

    asyncio.run(main())


def _virtual(context: "Context", at: str, until: str, *, as_json: bool) -> None:
    import asyncio

    from outbound.app import build
    from outbound.domain.errors import OutboundError
    from outbound.interfaces.cli.context import parse_instant
    from outbound.interfaces.cli.output import print_json
    from outbound.runtime.virtual import VirtualClock, run_virtual

    start, end = parse_instant(at), parse_instant(until)
    if not context.settings.all_mailbox:
        remedy = 'set adapter = "mailbox" for email and sms'
        raise OutboundError("clock.refused", "--at works only where every adapter is the mailbox", remedy)
    if end <= start:
        raise OutboundError("time.order", "--until is not after --at", "write a later time")
    clock = VirtualClock(start)
    built = build(context.settings, context.database, clock=clock)
    report = asyncio.run(run_virtual(built, clock, until=end))
    index = built.write_mailbox_index()
    if as_json:
        print_json({"report": report, "index": str(index)})
    else:
        typer.echo(f"Ran from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC in {report.moments} steps.")
        typer.echo(f"Look through the messages: {index}")
