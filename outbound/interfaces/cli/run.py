"""``outbound run``: the daemon, or a stretch of time on a virtual clock."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.interfaces.cli.context import Context
    from outbound.runtime.virtual import VirtualReport


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        at: Annotated[str, typer.Option(metavar="TIME", help="Start a virtual clock at TIME (mailbox only).")] = "",
        until: Annotated[str, typer.Option(metavar="TIME", help="Stop the virtual clock there.")] = "",
        no_http: Annotated[bool, typer.Option("--no-http", help="Do not answer HTTP in this process.")] = False,
        workers: Annotated[
            int,
            typer.Option(metavar="N", min=1, max=64, help="How many processes send, this one included (PostgreSQL)."),
        ] = 1,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON (virtual clock only).")] = False,
    ) -> None:
        """Run the service until SIGTERM, or a stretch of time at once. The daemon logs JSON lines on standard error."""
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.context import open_context, parse_instant

        with open_context() as context:
            start = parse_instant(at) if at else context.at
            if (start is None) != (not until):
                wrong_usage("--at and --until go together")
            if start is not None:
                _virtual(context, start, parse_instant(until), as_json=as_json)
            elif as_json:
                wrong_usage("--json is for --at and --until; the daemon logs JSON lines anyway")
            else:
                _daemon(context, http=not no_http, workers=workers)


def _daemon(context: "Context", *, http: bool, workers: int) -> None:
    from outbound.app import build
    from outbound.interfaces.cli.worker import require_fleet, work
    from outbound.interfaces.http.service import listen
    from outbound.interfaces.logs import log_to_stderr
    from outbound.runtime.crew import Crew
    from outbound.runtime.daemon import Daemon

    if workers > 1:
        require_fleet(context)
    log_to_stderr()
    built = build(context.settings, context.database)
    listener = listen(built, now=context.now) if http else None
    crew = Crew(context.workspace, workers - 1, drain=context.settings.dispatch.drain)
    work(Daemon(built, listener, beside=[crew.keep] if workers > 1 else []))


def _virtual(context: "Context", start: "datetime", end: "datetime", *, as_json: bool) -> None:
    from outbound.app import build
    from outbound.domain.errors import OutboundError
    from outbound.interfaces.cli.output import print_json
    from outbound.interfaces.logs import log_to_stderr
    from outbound.runtime import loop
    from outbound.runtime.virtual import VirtualClock, run_virtual

    context.require_mailbox()
    if end <= start:
        raise OutboundError("time.order", "--until is not after --at", "write a later time")
    log_to_stderr()
    clock = VirtualClock(start)
    built = build(context.settings, context.database, clock=clock)
    report = loop.run(run_virtual(built, clock, until=end))
    index = built.write_mailbox_index()
    if as_json:
        print_json({"report": report, "index": str(index)})
    else:
        typer.echo(f"Ran from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC in {report.moments} steps.")
        _print_sums(report)
        typer.echo(f"Look through the messages: {index}")


def _print_sums(report: "VirtualReport") -> None:
    """What was planned and spent, and which runs wait for somebody."""
    from outbound.domain.money import money_text
    from outbound.interfaces.cli.output import alarm, counted

    planned = report.planned
    if planned.messages:
        channels = ", ".join(f"{name} {number:,}" for name, number in planned.channels.most_common())
        cost = money_text(planned.cost, report.currency)
        typer.echo(f"Planned {counted(planned.messages, 'message')} ({channels}), about {cost}.")
    if spent := sum(report.spent.values()):
        typer.echo(f"Spent {money_text(spent, report.currency)}.")
    for run, exceeded in planned.limited.items():
        typer.echo(alarm(f"! {run} is over a limit and waits: {exceeded} -> outbound approve {run}"))
