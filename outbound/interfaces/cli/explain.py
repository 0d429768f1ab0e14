"""``outbound explain``: why a customer gets a message of a rule, or does not."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from outbound.domain.customer import Scalar
    from outbound.engine.conditions import Explanation
    from outbound.interfaces.cli.context import Context
    from outbound.services.explain import Before, Explained, Line, Outcome

_MARKS = {True: "yes", False: "NO", None: "?"}
_WIDEST = 60


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def explain(
        customer: Annotated[
            str, typer.Argument(metavar="CUSTOMER", help="An id, an e-mail address or a phone number.")
        ],
        rule: Annotated[str, typer.Argument(metavar="[RULE]", help="The rule. Default: all, a line each.")] = "",
        *,
        at: Annotated[
            str,
            typer.Option(
                metavar="TIME",
                help="Then instead of now: as it was, or as it will be. Without offset: their own clock.",
            ),
        ] = "",
        what_if: Annotated[
            list[str] | None,
            typer.Option("--what-if", metavar="NAME=VALUE", help="Assume this value of the customer; may be repeated."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show gate by gate why CUSTOMER gets a message, or not. Of RULE or of all, and what was decided before.

        Nothing is written and nothing is sent.
        """
        from outbound.interfaces.cli.arguments import pairs
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.customers import find_one
        from outbound.services.explain import Question, explain_all, explain_rule

        assumed = pairs(what_if, "--what-if")
        with open_context() as context:
            database, keyring = context.reader, context.keyring
            identity = find_one(database, keyring, customer)
            now = _now(context)
            moment = _moment(context, identity, at) if at else None
            question = Question(customer=identity, now=now, at=moment, what_if=assumed)
            if not rule:
                everything = explain_all(database, keyring, question)
            else:
                one = explain_rule(database, keyring, question, rule)
        if not rule:
            if as_json:
                print_json(everything)
            else:
                _print_all(everything)
        elif as_json:
            print_json(one)
        else:
            _print(one)


def _now(context: "Context") -> datetime:
    """The wall clock, or the root's ``--at``: a command that sends nothing may always have another hour."""
    from datetime import UTC

    return context.at or datetime.now(UTC)


def _moment(context: "Context", customer: str, text: str) -> datetime:
    """A time with an offset, or one on the customer's own clock."""
    from outbound.interfaces.cli.context import parse_instant
    from outbound.services.explain import own_zone

    try:
        stated = datetime.fromisoformat(text)
    except ValueError:
        return parse_instant(text)
    if stated.tzinfo is not None:
        return parse_instant(text)
    from outbound.engine.timing.walls import resolve_wall

    return resolve_wall(stated, own_zone(context.reader, customer))


def _print_all(everything: "tuple[Explained, ...]") -> None:
    if not everything:
        typer.echo("the release has no rules")
        return
    first = everything[0]
    typer.secho(f"{first.customer}  {_when(first.at)} {first.zone} (zone from {first.zone_from})", bold=True)
    _print_assumed(first.what_if)
    width = max(len(one.rule) for one in everything)
    for one in everything:
        line = _stopping(one.lines)
        why = f"   {_told(line)}" if line is not None else ""
        typer.echo(f"  {one.rule:<{width}}  {_ending(one.outcome)}{why}")


def _print(one: "Explained") -> None:
    due = f"{_when(one.due)} " if one.due else ""
    typer.secho(f"{one.customer}  {one.rule}@{one.version[:6]}  {due}{one.zone} (zone from {one.zone_from})", bold=True)
    if one.due is None or one.at != one.due:
        typer.echo(f"  asked for {_when(one.at)}, release {one.release[:12]}")
    _print_assumed(one.what_if)
    rows = [row for line in one.lines for row in _rows(line)]
    width = min(max((len(text) for text, _, _ in rows), default=0), _WIDEST)
    for text, because, place in rows:
        tail = "  ".join(part for part in (because, place) if part)
        typer.echo(f"{text:<{width}}  {tail}".rstrip())
    typer.echo(f"  => {_ending(one.outcome)}")
    if one.before:
        typer.echo("before")
    for past in one.before:
        _print_before(past, one.at)


def _rows(line: "Line") -> "Iterator[tuple[str, str, str]]":
    yield f"  {_MARKS[line.verdict]:<3} {line.gate:<12} {line.text}", line.because, line.place
    for part in line.parts:
        yield from _parts(part, 1)


def _parts(part: "Explanation", depth: int) -> "Iterator[tuple[str, str, str]]":
    yield f"  {'':<16} {'  ' * depth}{_MARKS[part.verdict]:<3} {part.text}", part.because, ""
    for inner in part.parts:
        yield from _parts(inner, depth + 1)


def _print_assumed(values: "Mapping[str, Scalar] | None") -> None:
    if values:
        told = ", ".join(f"{name} {_value(value)}" for name, value in values.items())
        typer.echo(f"  assuming {told}")


def _print_before(past: "Before", at: datetime) -> None:
    zone = at.tzinfo
    said = past.state or past.verdict
    channel = f" by {past.channel}" if past.channel and past.verdict != "miss" else ""
    if past.verdict == "miss":
        said = "not matched"
    sent = f" {past.sent_at.astimezone(zone):%H:%M}" if past.sent_at else ""
    reason = f": {past.reason}" if past.reason else ""
    place = f" {past.place}" if past.place else ""
    variant = f", variant {past.variant}" if past.variant else ""
    held = f", held by {past.held_by}" if past.held_by else ""
    typer.echo(f"  {past.at.astimezone(zone):%Y-%m-%d %H:%M}  {said}{channel}{sent}{reason}{place}{variant}{held}")
    typer.echo(f"      run {past.run}, release {past.release[:12]}, version {past.version[:6]}")
    if past.values:
        told = ", ".join(f"customer.{name} {_value(value)}" for name, value in past.values.items())
        typer.echo(f"      then: {told}")
    if past.note:
        typer.echo(f"      {past.note}")


def _stopping(lines: "tuple[Line, ...]") -> "Line | None":
    return next((line for line in lines if line.verdict is False), None)


def _told(line: "Line") -> str:
    return "  ".join(part for part in (f"{line.gate} {line.text}", line.because, line.place) if part)


def _ending(outcome: "Outcome") -> str:
    expires = f", expires {_when(outcome.expires)}" if outcome.expires else ""
    match outcome.decision:
        case "send":
            then = ", then ".join(outcome.channels)
            return f"leaves {_when(outcome.at)} by {then}" if outcome.at else f"leaves by {then}"
        case "hold":
            return f"held until {_when(outcome.at)} ({outcome.reason}){expires}" if outcome.at else "held"
        case "done":
            by = f" by {outcome.channels[0]}" if outcome.channels else ""
            return f"decided before: {outcome.reason} {_when(outcome.at)}{by}"
        case "none":
            return "nothing is due"
        case _:
            return f"not sent: {outcome.reason}"


def _when(moment: datetime | None) -> str:
    return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M}" if moment else ""


def _value(value: "Scalar") -> str:
    return "MISSING" if value is None else repr(value) if isinstance(value, str) else str(value)
