"""``outbound status``: is it running, what waits and why, how late are we."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outbound.services.status import Status

_SHOWN = 10
_KINDS = {"run": "daemon", "worker": "worker"}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
        """Show the daemon, the release, what waits and why."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.status import status as read

        with open_context() as context:
            found = read(context.database, now=context.now())
        if as_json:
            print_json(found)
        else:
            _print(found)


def _print(found: "Status") -> None:
    from outbound.interfaces.cli.output import alarm

    _print_daemons(found)
    if found.release is None:
        typer.echo("! no release is active -> outbound apply")
    else:
        since = f"{found.release.activated_at:%Y-%m-%d %H:%M}"
        typer.echo(f"release {found.release.release[:12]} since {since} UTC by {found.release.activated_by}")
    if found.refused is not None:
        said = f"{found.refused.errors:,} error{'' if found.refused.errors == 1 else 's'}, first {found.refused.first}"
        when = f"{found.refused.at:%Y-%m-%d %H:%M} UTC by {found.refused.by}"
        typer.echo(f"! newer rules were refused {when}: {said} -> outbound check")
    for switch in found.paused:
        since = f" since {switch.at:%Y-%m-%d %H:%M} UTC" if switch.at else ""
        who = f" by {switch.by}" if switch.by else ""
        typer.echo(alarm(f'! {switch.name} is paused{since}{who}: "{switch.reason}" -> outbound resume {switch.name}'))
    _print_slowed(found)
    waiting = sum(found.states.get(state, 0) for state in ("ready", "claimed", "sending"))
    typer.echo(f"lag {found.lag:.0f} s, queue {waiting:,}, events to see {found.pending_events:,}")
    typer.echo(f"messages {_list(found.states)}; sent {_list(found.sent)}; held {_list(found.held)}")
    typer.echo(
        f"customers {found.counts['customer']:,}, events {found.counts['event']:,}, runs {found.counts['run']:,}"
    )
    _print_money(found)
    _print_complaints(found)
    if uncertain := found.states.get("uncertain"):
        typer.echo(f"! {uncertain:,} messages with an unknown outcome: nothing is sent again without evidence")
    if found.texts:
        typer.echo(f"! {found.texts:,} texts wait for a person to read them -> outbound consent review")


def _print_daemons(found: "Status") -> None:
    """Every process of the fleet, when it was last seen and what it holds."""
    for one in sorted(found.daemons, key=lambda one: (one.role, one.host, one.started_at)):
        since, seen = f"{one.started_at:%Y-%m-%d %H:%M}", f"{one.seen_at:%H:%M:%S}"
        holds = f", holds {one.holds:,}" if one.holds else ""
        typer.echo(f"{_KINDS[one.role]} up since {since} UTC on {one.host} (pid {one.pid}), seen {seen}{holds}")
    for one in found.lost_daemons:
        since = f"{one.seen_at:%Y-%m-%d %H:%M}"
        typer.echo(f"! {_KINDS[one.role]} on {one.host} (pid {one.pid}) not seen since {since} UTC")
    if not found.daemons:
        typer.echo("no daemon is running -> outbound run")
    elif not any(one.role == "run" for one in found.daemons):
        typer.echo("! only workers are running: nothing is planned -> outbound run")


def _print_slowed(found: "Status") -> None:
    """Accounts and destinations that are paused by themselves."""
    from outbound.interfaces.cli.output import alarm

    for one in found.slowed[:_SHOWN]:
        name = f"{one.domain} at {one.account}" if one.domain else one.account
        typer.echo(alarm(f"! {name} is paused since {one.since:%Y-%m-%d %H:%M} UTC after: {one.reason}; it is probed"))
    if len(found.slowed) > _SHOWN:
        typer.echo(f"  and {len(found.slowed) - _SHOWN:,} more")


def _print_complaints(found: "Status") -> None:
    """How many called our mail spam, beside what mail programs ask for."""
    from outbound.domain.complaints import GOOD, MOST, percent
    from outbound.interfaces.cli.output import alarm

    complaints = found.complaints
    if not complaints.complained:
        return
    line = f"complaints {complaints.text()}: good is below {percent(GOOD)}, mail is refused from {percent(MOST)} on"
    typer.echo(alarm(f"! {line}") if complaints.high else line)


def _print_money(found: "Status") -> None:
    """What was spent, and the runs that wait because they would cost, reach or grow too much."""
    from outbound.domain.money import money_text
    from outbound.interfaces.cli.output import alarm

    if found.spent:
        channels = (f"{channel} {money_text(cost, found.currency)}" for channel, cost in sorted(found.spent.items()))
        total = money_text(sum(found.spent.values()), found.currency)
        typer.echo(f"spent {total} ({', '.join(channels)})")
    for run in found.limited:
        typer.echo(alarm(f"! {run.name} is over a limit and waits: {run.text} -> outbound approve {run.name}"))
    for run in found.interrupted:
        typer.echo(f"! {run.name} is approved, and messages still wait -> outbound approve {run.name}")


def _list(counts: "Mapping[str, int]") -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
