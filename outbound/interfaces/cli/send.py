"""``outbound send``: start a script rule for named customers, once per key."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbound.interfaces.cli.context import Context
    from outbound.services.reports import RunReport
    from outbound.services.sends import Recipient, SendReport

_LISTED = 10


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def send(
        rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule with a script trigger.")],
        key: Annotated[
            str, typer.Option(metavar="KEY", help="Names this occasion: the same key never reaches anybody twice.")
        ],
        customers: Annotated[
            Path | None, typer.Option(metavar="FILE", help="A file with one customer id per line.")
        ] = None,
        customer: Annotated[
            list[str] | None, typer.Option(metavar="ID", help="One customer id; may be repeated.")
        ] = None,
        to: Annotated[
            list[str] | None,
            typer.Option(metavar="ADDRESS", help="An e-mail address or a phone number (transactional topics only)."),
        ] = None,
        values: Annotated[
            list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="The rule's arguments, one each.")
        ] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would get what.")] = False,
        extend: Annotated[bool, typer.Option("--extend", help="Add further customers to an earlier key.")] = False,
        wait: Annotated[bool, typer.Option("--wait", help="Wait until the daemon has sent them.")] = False,
        timeout: Annotated[float, typer.Option(metavar="SECONDS", help="With --wait: give up then.")] = 600.0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Start RULE for the named customers, once per key. The daemon sends the messages.

        Exit 2 when a limit of the rule stops them until somebody approves.
        """
        from outbound.interfaces.cli.arguments import operator, pairs, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_CHANGES, EXIT_ERROR
        from outbound.interfaces.cli.output import counted, print_error, print_json
        from outbound.services import sends
        from outbound.services.addressees import send_to

        arguments = pairs(values)
        if sum(map(bool, (customers, customer, to))) != 1:
            wrong_usage("name the customers with either --customers FILE or --customer ID or --to ADDRESS")
        with open_context() as context:
            if wait and context.at is not None:
                wrong_usage("--wait waits for a daemon, which has no --at")
            database, active, now = context.database, context.active(), context.now()

            def start(recipients: "Sequence[Recipient]", *, dry_run: bool) -> "SendReport":
                return sends.send(
                    database,
                    active,
                    rule=rule,
                    recipients=recipients,
                    arguments=arguments,
                    key=key,
                    dry_run=dry_run,
                    extend=extend,
                    by=operator(),
                    now=now,
                )

            if to:
                report = send_to(
                    database,
                    active,
                    context.keyring,
                    start,
                    rule=rule,
                    addresses=to,
                    dry_run=dry_run,
                    now=now,
                )
            else:
                report = start(_recipients(customers, customer), dry_run=dry_run)
            run = _wait(context, report.run_id, timeout) if wait and not dry_run else None
        if as_json:
            print_json({"send": report, "run": run})
        else:
            _print(report, f"{rule}/{key}")
            if run is not None:
                states = ", ".join(f"{state} {count:,}" for state, count in sorted(run.equation.states.items()))
                typer.echo(f"run {report.run_id}: {states}")
        if run is not None and run.equation.unfinished:
            print_error(
                f"outbound: gave up after {timeout:g} s: {counted(run.equation.unfinished, 'message')} in motion"
            )
            raise typer.Exit(EXIT_ERROR)
        if report.limited:
            raise typer.Exit(EXIT_CHANGES)


def _recipients(file: Path | None, ids: list[str] | None) -> "list[Recipient]":
    from outbound.services.sends import Recipient, read_recipients

    return read_recipients(file) if file else [Recipient(customer_id=one) for one in ids or ()]


def _wait(context: "Context", run_id: str, timeout: float) -> "RunReport":
    """Look at the run until everything in it has come to rest: sent, ended, or held for a later hour."""
    import time

    from outbound.domain.errors import OutboundError
    from outbound.services.reports import run_report
    from outbound.services.status import status

    deadline = time.monotonic() + timeout
    while True:
        with context.database.read() as connection:
            run = run_report(connection, run_id, now=context.now())
        if not run.equation.unfinished or time.monotonic() > deadline:
            return run
        if not status(context.database, now=context.now()).daemons:
            message = f"run {run_id} is planned, but no daemon is running"
            raise OutboundError("daemon.none", message, "start `outbound run`; the messages wait")
        time.sleep(0.2)


def _print(report: "SendReport", name: str) -> None:
    from outbound.domain.money import money_text
    from outbound.interfaces.cli.output import counted

    counts = report.counts
    channels = ", ".join(f"{name} {number:,}" for name, number in counts.channels.most_common())
    if report.dry_run:
        typer.echo(
            f"{counted(report.rows, 'row')}: {counts.messages:,} would be sent{f' ({channels})' if channels else ''}"
        )
    else:
        typer.echo(f"{counts.messages:,} new{f' ({channels})' if channels else ''}, {report.already:,} already sent to")
    notes = [
        *(f"{number:,} held by {reason}" for reason, number in counts.held.most_common()),
        *(f"{number:,} skipped: {reason}" for reason, number in counts.skipped_by.most_common()),
    ]
    if report.missed:
        notes.append(f"{report.missed:,} to whom `who` does not apply")
    if report.created:
        notes.append(f"{counted(report.created, 'new customer')} of whom nothing but the address is known")
    if report.repeated:
        notes.append(f"{report.repeated:,} named more than once")
    if report.unknown:
        lines = ", ".join(f"line {r.line}" if r.line else r.customer_id for r in report.unknown[:_LISTED])
        more = ", ..." if len(report.unknown) > _LISTED else ""
        notes.append(f"{counted(len(report.unknown), 'unknown customer')} ({lines}{more})")
    for note in notes:
        typer.echo(f"  {note}")
    if counts.messages:
        typer.echo(f"  about {money_text(counts.cost, report.currency)}")
    if report.limited:
        _print_limit(report, name)


def _print_limit(report: "SendReport", name: str) -> None:
    import shlex

    from outbound.domain.limits import REJECTED
    from outbound.interfaces.cli.output import alarm

    if report.limited == REJECTED:
        typer.echo(alarm("  ! the run was rejected: use another --key for another occasion"))
    elif report.dry_run:
        typer.echo(alarm(f"  ! over the limit: {report.exceeded}: somebody would have to approve it"))
    else:
        typer.echo(alarm(f"  ! over the limit, nothing is sent: {report.exceeded}"))
        typer.echo(f"  -> outbound approve {shlex.quote(name)}")
