"""``outbound replay --events``: show past events to the rules again."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.interfaces.cli.context import Context
    from outbound.services.replay import Replayed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def replay(
        start: Annotated[str, typer.Option("--from", metavar="TIME", help="From then on: 09:00 today, or ISO 8601.")],
        events: Annotated[
            bool, typer.Option("--events", help="Replay events (there is nothing else to replay).")
        ] = False,
        end: Annotated[str, typer.Option("--to", metavar="TIME", help="Until then, excluded. Left out: now.")] = "",
        rule: Annotated[str, typer.Option(metavar="RULE", help="Only to this rule.")] = "",
        send: Annotated[
            bool, typer.Option("--send", help="Do it. Left out: only say what would newly be sent.")
        ] = False,
        by: Annotated[str, typer.Option(metavar="NAME", help="Who decides. Left out: who runs the command.")] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show past events to the rules again.

        Who was decided about before stays decided. Without --send nothing is written.
        """
        from outbound.interfaces.cli.arguments import operator, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.replay import replay_events

        if not events:
            wrong_usage("say --events: what is to be replayed")
        with open_context() as context:
            done = replay_events(
                context.database,
                context.active(),
                start=_moment(context, start),
                end=_moment(context, end) if end else context.now(),
                rule=rule,
                send=send,
                by=by or operator(),
                now=context.now(),
            )
        if as_json:
            print_json({"replay": done, "messages": done.messages})
        else:
            _print(done)


def _moment(context: "Context", text: str) -> "datetime":
    """An instant; a bare ``09:00`` is today's in the policy's zone."""
    from datetime import UTC, datetime

    from outbound.engine.timing.zones import zone_named
    from outbound.interfaces.cli.context import parse_instant

    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        zone = zone_named(context.active().ruleset.policy.timezone)
        today = context.now().astimezone(zone).date()
        hour, minute = map(int, text.split(":"))
        return datetime(today.year, today.month, today.day, hour, minute, tzinfo=zone).astimezone(UTC)
    return parse_instant(text)


def _print(done: "Replayed") -> None:
    from outbound.interfaces.cli.output import counted

    stretch = f"{done.start:%Y-%m-%d %H:%M} to {done.end:%Y-%m-%d %H:%M} UTC"
    verb = "new" if done.sent else "would newly be sent"
    typer.echo(f"{counted(done.events, 'event')} from {stretch}: {counted(done.messages, 'message')} {verb}")
    for name, one in sorted(done.rules.items()):
        parts = [f"{one.messages:,} {'new' if done.sent else 'would be sent'}"]
        if one.channels:
            parts[0] += f" ({', '.join(f'{channel} {n:,}' for channel, n in sorted(one.channels.items()))})"
        if one.already:
            parts.append(f"{one.already:,} decided before")
        parts += [f"{n:,} held: {reason}" for reason, n in sorted(one.held.items())]
        parts += [f"{n:,} skipped: {reason}" for reason, n in sorted(one.skipped.items())]
        typer.echo(f"  {name}: {', '.join(parts)}")
    if not done.sent and done.messages:
        typer.echo("Nothing was written. --send does it.")
