"""``outbound report``: the equation of one run or of everything, with the reason for every silence."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from outbound.services.reports import Costs, Equation, RunReport
    from outbound.storage.database import Database

_PLACES = 5
"""Countries named of each channel; `--json` has all of them."""

_DETAILS = 5
"""Details named of each reason; `--json` has all of them."""

_ENDED = ("expired", "failed", "cancelled", "uncertain", "closed_unknown")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def report(
        run: Annotated[
            str, typer.Argument(metavar="RUN", help="A run's id or its beginning, or RULE/SLOT. Left out: all runs.")
        ] = "",
        rule: Annotated[str, typer.Option(metavar="RULE", help="Only runs of this rule.")] = "",
        limit: Annotated[int, typer.Option(min=1, help="How many runs to list.")] = 50,
        people: Annotated[bool, typer.Option("--people", help="One line per customer of RUN.")] = False,
        reason: Annotated[
            str,
            typer.Option(metavar="CODE[.DETAIL]", help="With --people: only these. `who` lists who did not match."),
        ] = "",
        state: Annotated[str, typer.Option(metavar="STATE", help="With --people: only these.")] = "",
        everybody: Annotated[
            bool, typer.Option("--all", help="With --people: more than 50 lines on a terminal too.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show what was sent, held and skipped, and why. Exit 1 when the sums do not balance."""
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.report_people import print_people
        from outbound.services.reports import costs_of, equation, run_report
        from outbound.storage import overview

        if people and not run:
            wrong_usage("--people needs a RUN")
        if not people and (reason or state or everybody):
            wrong_usage("--reason, --state and --all go with --people")
        with open_context() as context:
            database, now = context.database, context.now()
            if people:
                run_id = one_run(database, run)
                print_people(database, run_id, reason=reason, state=state, everybody=everybody, as_json=as_json)
                return
            if run:
                run_id = one_run(database, run)
                with database.read() as connection:
                    reports = [run_report(connection, run_id, now=now)]
                    total, costs = reports[0].equation, reports[0].costs
            else:
                with database.read() as connection:
                    ids = overview.latest_runs(connection, rule=rule, limit=limit)
                    reports = [run_report(connection, run_id, now=now) for run_id in ids]
                    total, costs = equation(connection, None, now=now), costs_of(connection, None)
        if as_json:
            print_json(
                {
                    "runs": [_jsonable(r) for r in reports],
                    "total": _equation(total),
                    "costs": costs,
                    "holds": total.holds,
                }
            )
        else:
            _print_runs(reports)
            _print_equation(total)
            _print_costs(costs)
            for one in reports if run else [r for r in reports if r.limits.waits]:
                _print_limits(one)
            typer.echo(f"\n{total}")
        if not total.holds:
            raise typer.Exit(EXIT_ERROR)


def one_run(database: "Database", name: str) -> str:
    """The id of the run that ``name`` means. Raises OutboundError ``run.unknown``."""
    from outbound.domain.errors import OutboundError
    from outbound.storage import overview

    with database.read() as connection:
        found = overview.find_runs(connection, name)
    if len(found) != 1:
        what = "means several runs" if found else "is no run"
        raise OutboundError("run.unknown", f"{name!r} {what}", "`outbound report` lists the runs")
    return found[0]


def _print_runs(reports: "Sequence[RunReport]") -> None:
    from outbound.interfaces.cli.output import print_rows

    rows = []
    for one in reports:
        sums = one.equation
        waiting = sum(sums.states.get(state, 0) for state in ("scheduled", "ready", "claimed", "sending"))
        sent = sums.states.get("sent", 0)
        other = sums.messages - sent - waiting
        name = f"{one.rule}/{one.slot}"
        cost = money(one.costs.total) or "-"
        rows.append((name, sums.candidates, sums.skipped, sums.messages, sent, waiting, other, cost))
    print_rows(("run", "planned", "skipped", "messages", "sent", "waiting", "other", "cost"), rows)
    typer.echo("")


def _print_equation(total: "Equation") -> None:
    from collections import Counter

    def line(label: str, counts: "Counter[tuple[str, str]]") -> None:
        if counts:
            typer.echo(f"{label:10}{counts.total():>8,}   {', '.join(_named(counts))}")

    held, skipped = Counter[tuple[str, str]](), Counter(total.planning_details)
    ended = {state: Counter[tuple[str, str]]() for state in _ENDED}
    for (state, reason, detail), n in total.details.items():
        if state == "scheduled":
            held[reason, detail] += n
        elif state == "skipped":
            skipped[reason, detail] += n
        elif state in ended:
            ended[state][reason, detail] += n
    typer.echo(f"{'planned':10}{total.candidates:>8,}   people to whom a rule applied")
    line("sent", Counter({(channel, ""): n for channel, n in total.channels.items()}))
    line("held", held)
    line("skipped", skipped)
    for state, counts in ended.items():
        line(state, counts)


def _named(counts: "Mapping[tuple[str, str], int]") -> "Iterator[str]":
    """``cap 337 (cap.marketing.day 300, cap.marketing.168h 37)``: each reason, and its details where there are some."""
    from itertools import groupby

    for reason, group in groupby(sorted(counts.items()), key=lambda one: one[0][0]):
        details = sorted(((detail, n) for (_, detail), n in group), key=lambda one: -one[1])
        told = [f"{reason}.{detail} {n:,}" if detail else f"{reason} {n:,}" for detail, n in details]
        if len(told) == 1:
            yield told[0]
            continue
        more = f", {len(told) - _DETAILS} more" if len(told) > _DETAILS else ""
        yield f"{reason} {sum(n for _, n in details):,} ({', '.join(told[:_DETAILS])}{more})"


def money(amounts: "Mapping[str, int]") -> str:
    """Amounts by currency, in millionths, as a person reads them; "" for none."""
    from outbound.domain.money import money_text

    return ", ".join(money_text(amount, currency) for currency, amount in sorted(amounts.items()) if amount)


def _print_costs(costs: "Costs") -> None:
    """Planned and spent; of each channel the countries that cost most."""
    from itertools import groupby

    from outbound.domain.money import money_text

    if costs.planned:
        typer.echo(f"{'planned for':13}{money(costs.planned)}")
    if costs.spent:
        typer.echo(f"{'spent':13}{money(costs.total)}")
    for (channel, currency), group in groupby(costs.spent, key=lambda one: (one.channel, one.currency)):
        places = sorted(group, key=lambda one: -one.cost)
        named = [f"{p.country or '-'} {p.legs:,} {money_text(p.cost, currency)}" for p in places[:_PLACES]]
        total = money_text(sum(p.cost for p in places), currency)
        more = f", {len(places) - _PLACES} more" if len(places) > _PLACES else ""
        typer.echo(f"  {channel:11}{total}   {', '.join(named)}{more}")


def _print_limits(report: "RunReport") -> None:
    from outbound.domain.money import money_text
    from outbound.interfaces.cli.output import alarm

    run = report.limits
    said = f"by {run.decided_by} on {run.decided_at:%Y-%m-%d %H:%M} UTC" if run.decided_at else ""
    if run.approved is not None:
        cost = money_text(run.approved.cost, run.currency)
        typer.echo(f"{'approved':13}{said}: {run.approved.messages:,} messages, {cost}")
    if run.waits:
        typer.echo(alarm(f"! {run.name} is over a limit and waits: {run.text} -> outbound approve {run.name}"))
    elif run.limited:
        typer.echo(f"{'rejected':13}{said}: {run.text}")
    elif run.text:
        typer.echo(f"{'over limit':13}{run.text}")


def _jsonable(report: "RunReport") -> dict[str, object]:
    names = ("id", "rule", "slot", "trigger", "release", "rule_version", "started_at", "planned_at")
    fields = {name: getattr(report, name) for name in names}
    return {**fields, "equation": _equation(report.equation), "costs": report.costs, "limits": report.limits}


def _equation(sums: "Equation") -> dict[str, object]:
    """Reasons by (state, reason) become ``state.reason`` keys."""
    return {
        "candidates": sums.candidates,
        "skipped": sums.skipped,
        "messages": sums.messages,
        "states": dict(sums.states),
        "skipped_by": dict(sums.planning_reasons),
        "reasons": {f"{state}: {reason}" if reason else state: n for (state, reason), n in sums.reasons.items()},
        "details": {f"{state}: {reason}.{detail}": n for (state, reason, detail), n in sums.details.items() if detail},
        "skipped_by_detail": {
            f"{reason}.{detail}": n for (reason, detail), n in sums.planning_details.items() if detail
        },
        "sent_by_channel": dict(sums.channels),
        "unfinished": sums.unfinished,
        "holds": sums.holds,
    }
