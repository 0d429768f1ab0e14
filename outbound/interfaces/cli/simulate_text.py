"""How ``outbound simulate`` prints: a line for each rule, who gets most, the busiest hour, what never fires."""

from collections.abc import Mapping
from typing import Any

import typer

from outbound.domain.forecast import Forecast, RuleFigures
from outbound.domain.money import money_text
from outbound.interfaces.cli.output import alarm, counted, plain, print_rows

_REASONS = 3
_NONE = RuleFigures(rule="")


def as_printed(found: Forecast) -> dict[str, Any]:
    """The forecast as one JSON object, sums included; costs in millionths of the currency."""
    sums = {
        "sent": found.sent,
        "cost": found.cost,
        "channels": {name: {"messages": n, "cost": cost} for name, (n, cost) in found.channels.items()},
        "held_by": found.held_by,
        "skipped_by": found.skipped_by,
        "busiest_hour": plain(found.busiest),
    }
    return {**plain(found), **sums}


def print_forecast(found: Forecast, beside: Forecast | None = None, *, named: str = "") -> None:
    """The table and the lines under it; ``beside`` another forecast, called ``named``, what differs from it."""
    before = None if beside is None else {one.rule: one for one in beside.rules}
    rules = [one for one in found.rules if one.entered or one.sent or one.held or one.skipped or one.waiting]
    headers = ["rule", "entered", "sent", "held", "skipped", "waiting", "per person max", "cost"]
    if before is not None:
        headers[3:3] = [f"sent, {named}"]
        gone = [one for one in before.values() if one.sent and one.rule not in {rule.rule for rule in rules}]
        rules += [RuleFigures(rule=one.rule) for one in gone]
    print_rows(headers, [_row(one, found.currency, before) for one in rules])
    typer.echo()
    _print_sums(found, beside, named)
    for label, reasons in (("Held", found.held_by), ("Skipped", found.skipped_by)):
        if reasons:
            typer.echo(f"{label}: {_few(reasons)}.")
    if found.most:
        people = ", ".join(f"{customer} ({number})" for customer, number in found.most)
        typer.echo(f"People with most messages: {people}. {_distribution(found.people)}")
    if found.busiest is not None:
        typer.echo(
            f"Busiest hour: {found.busiest.hour:%a %d %b %H:%M} {found.zone}, {found.busiest.messages:,} messages."
        )
    days = (found.until - found.start).days
    silent = [one for one in found.rules if one.silence]
    if silent:
        typer.echo(f"Never fired in {counted(days, 'day')}:")
        for one in silent:
            typer.echo(f"  {one.rule}: {_marked(one.silence)}")


def _marked(silence: str) -> str:
    """A rule that looked at people and took nobody is likely a mistake; one that nothing started is not."""
    return alarm(f"{silence}  <- likely a mistake") if silence.startswith("0 of") else silence


def _row(one: RuleFigures, currency: str, before: Mapping[str, RuleFigures] | None) -> list[object]:
    row: list[object] = [one.rule, one.entered, one.sent, one.held, one.skipped, one.waiting, one.per_person_max]
    if before is not None:
        row[3:3] = [before.get(one.rule, _NONE).sent]
    return [*row, money_text(one.cost, currency)]


def _print_sums(found: Forecast, beside: Forecast | None, named: str) -> None:
    channels = ", ".join(
        f"{name} {messages:,} ({money_text(cost, found.currency)})" for name, (messages, cost) in found.channels.items()
    )
    span = f"{found.start:%a %d %b %Y %H:%M} to {found.until:%a %d %b %H:%M} UTC"
    total = f"{counted(found.sent, 'message')}" + (f": {channels}" if channels else "")
    typer.echo(f"{span}: {total}. Total {money_text(found.cost, found.currency)}.")
    if beside is not None:
        change = found.sent - beside.sent
        typer.echo(
            f"With {named}: {counted(beside.sent, 'message')}, {money_text(beside.cost, beside.currency)}. "
            f"Difference: {change:+,} messages, {_signed(found.cost - beside.cost, found.currency)}."
        )


def _signed(amount: int, currency: str) -> str:
    return f"{'-' if amount < 0 else '+'}{money_text(abs(amount), currency)}"


def _few(reasons: Mapping[str, int]) -> str:
    listed = list(reasons.items())
    told = ", ".join(f"{number:,} {reason}" for reason, number in listed[:_REASONS])
    rest = sum(number for _, number in listed[_REASONS:])
    return f"{told}, {rest:,} for other reasons" if rest else told


def _distribution(people: Mapping[int, int]) -> str:
    """How many get none, how many one, two to four, and so on."""
    bands = (("none", 0, 0), ("1", 1, 1), ("2 to 4", 2, 4), ("5 to 9", 5, 9), ("10 or more", 10, None))
    told: list[str] = []
    for name, least, most in bands:
        number = sum(n for messages, n in people.items() if messages >= least and (most is None or messages <= most))
        if number:
            told.append(f"{number:,} get {name}" if not told else f"{number:,} {name}")
    return f"{', '.join(told)}." if told else ""
