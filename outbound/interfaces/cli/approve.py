"""``outbound approve``: let a run go that exceeds a limit of its rule, or turn it down."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.services.approvals import Approval, Request

_ALL_ZONES = timedelta(hours=27)
"""From the first zone of a run, planned half an hour ahead, to the last: no local time is further apart."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def approve(
        run: Annotated[
            str,
            typer.Argument(
                metavar="RUN", help="A run's id or its beginning, RULE/SLOT, or RULE where one run of it waits."
            ),
        ],
        count: Annotated[
            int | None,
            typer.Option(metavar="N", min=0, help="The number of messages you agree to; asked for on a terminal."),
        ] = None,
        reject: Annotated[bool, typer.Option("--reject", help="Cancel the messages instead.")] = False,
        by: Annotated[str, typer.Option(metavar="NAME", help="Who decides. Left out: who runs the command.")] = "",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is to decide.")] = False,
        yes: Annotated[bool, typer.Option("--yes", help="With --reject: do not ask.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Let a run go that a limit stopped, or reject it. The daemon then sends the messages."""
        from outbound.interfaces.cli.arguments import operator, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.report import one_run
        from outbound.services import approvals

        if reject and count is not None:
            wrong_usage("--count is what you agree to; --reject agrees to nothing")
        if yes and not reject:
            wrong_usage("--yes goes with --reject; to approve without being asked give --count N")
        with open_context() as context:
            now = context.now()
            run_id = approvals.waiting_run(context.database, run) or one_run(context.database, run)
            asked = approvals.request(context.database, run_id, now=now)
            approvals.check(asked, reject=reject)
            if not as_json:
                _print(asked, now)
            if dry_run:
                if as_json:
                    print_json({"request": asked, "approval": None})
                return
            who = by or operator()
            if reject:
                if not yes:
                    _agree(f"reject {asked.run.name}", quiet=as_json)
                done = approvals.reject(context.database, run_id, by=who, now=now)
            else:
                agreed = _number(quiet=as_json) if count is None else count
                active = context.active()
                done = approvals.approve(context.database, active, run_id, count=agreed, by=who, now=now)
        if as_json:
            print_json({"request": asked, "approval": done})
        else:
            _print_done(done)


def _number(*, quiet: bool) -> int:
    """The number of messages that somebody types: whoever reads it has seen it (fault F52)."""
    from outbound.interfaces.cli.arguments import wrong_usage

    if quiet or not sys.stdin.isatty():
        wrong_usage("give --count N, the number of messages you agree to")
    typed = typer.prompt("Type the number of messages to let them go").replace(",", "").strip()
    return int(typed) if typed.isdecimal() else -1


def _agree(what: str, *, quiet: bool) -> None:
    from outbound.interfaces.cli.arguments import wrong_usage
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.output import print_error

    if quiet or not sys.stdin.isatty():
        wrong_usage(f"give --yes to {what}")
    if not typer.confirm(f"Really {what}? Its messages are cancelled for good"):
        print_error("outbound: nothing was decided")
        raise typer.Exit(EXIT_ERROR)


def _print(asked: "Request", now: "datetime") -> None:
    from outbound.domain.money import money_text
    from outbound.interfaces.cli.output import alarm

    run = asked.run
    whole = run.whole
    typer.echo(f"{run.name}  ({run.trigger}, since {run.started_at:%Y-%m-%d %H:%M} UTC, run {run.id})")
    if run.text:
        typer.echo(alarm(f"  over the limit: {run.text}"))
    typer.echo(f"  messages  {whole.messages:,}")
    for channel, (messages, cost) in whole.channels.items():
        typer.echo(f"    {channel:8}{messages:>10,}   {money_text(cost, run.currency)}")
    typer.echo(f"  cost      {money_text(whole.cost, run.currency)}")
    late = f", {asked.held - asked.in_time:,} of them expired" if asked.in_time < asked.held else ""
    coming = whole.messages - run.messages if run.waits else 0
    ahead = now - run.started_at < _ALL_ZONES
    why = "still to come (zones not planned yet)" if ahead else "counted, but not planned after all"
    rest = f"; {coming:,} {why}" if coming > 0 else ""
    typer.echo(f"  planned   {run.messages:,}; waiting for you {asked.held:,}{late}{rest}")


def _print_done(done: "Approval") -> None:
    from outbound.interfaces.cli.output import counted

    what = "Cancelled" if done.rejected else "Let go"
    again = f" (decided by {done.run.decided_by} before)" if done.finished else ""
    verb = "rejected" if done.rejected else "approved"
    typer.echo(f"{done.run.name} {verb}{again}. {what}: {counted(done.messages, 'message')}.")
    if done.run.waits:
        typer.echo("It has grown meanwhile and waits again: look at it once more.")
