"""``outbound experiment list|show``: which experiments there are, and what came of one."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.experiments import Group, Report, Summary

_ON_PURPOSE = "held_out"
"""The group says it already."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="List experiments, or show what came of one.")
    app.add_typer(group, name="experiment")

    @group.command(name="list")
    def list_(*, as_json: AsJson = False) -> None:
        """List the experiments that run or ran.

        The holdout of the policy is one of them.
        """
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json, print_rows
        from outbound.services.experiments import overview

        with open_context() as context:
            found = overview(context.database)
        if as_json:
            print_json({"experiments": found})
            return
        headers = ("experiment", "rule", "state", "coverage", "holdout", "variants")
        print_rows(headers, [_row(summary) for summary in found])

    @group.command()
    def show(
        experiment_id: Annotated[str, typer.Argument(metavar="ID")],
        *,
        as_json: AsJson = False,
    ) -> None:
        """Show an experiment and what came of it.

        What it is, since when it is frozen, its groups, and how many reached the goal.
        """
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.experiments import report

        with open_context() as context:
            found = report(context.database, experiment_id, now=context.now())
        if as_json:
            print_json(found)
        else:
            _print(found)


def _row(summary: "Summary") -> tuple[str, ...]:
    from outbound.services.experiment_freeze import percent, split

    coverage = percent(summary.coverage) if summary.kind == "rule" else ""
    rule = summary.rule or "(policy)"
    return (summary.id, rule, _state(summary), coverage, percent(summary.holdout), split(list(summary.variants)))


def _state(summary: "Summary") -> str:
    if not summary.running:
        return "ended"
    since = summary.frozen_since
    return f"since {since:%Y-%m-%d}" if since else "nobody exposed"


def _print(report: "Report") -> None:
    from outbound.interfaces.cli.output import print_rows
    from outbound.services.experiment_freeze import percent, split

    summary = report.summary
    rule = f"rule {summary.rule}" if summary.rule else "the policy's holdout"
    since = summary.frozen_since
    frozen = f"frozen since {since:%Y-%m-%d %H:%M} UTC" if since else "nobody exposed, nothing frozen yet"
    typer.echo(f"{summary.id}  {rule}{'' if summary.running else ', ended'}, {frozen}")
    if summary.kind == "rule":
        typer.echo(f"  unit      customer.{summary.unit}")
        typer.echo(f"  coverage  {percent(summary.coverage)}, of those {percent(summary.holdout)} held out")
        typer.echo(f"  variants  {split(list(summary.variants))}")
        for line in summary.goal:
            typer.echo(f"  goal      {line}")
        if summary.stop:
            typer.echo(f"  stop      no new exposures after {summary.stop}")
    else:
        typer.echo(f"  share     {percent(summary.holdout)} of all customers get no marketing")
    typer.echo("")
    with_goal = any(group.conversions is not None for group in report.groups)
    headers: tuple[str, ...] = ("group", "people", "sent", "waiting", "not sent")
    rows: list[tuple[object, ...]] = [_cells(group) for group in report.groups]
    if with_goal:
        headers += ("goal", "rate", "95 % interval")
        rows = [(*row, *_goal_cells(group)) for row, group in zip(rows, report.groups, strict=True)]
    print_rows(headers, rows)
    for group in report.groups:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in group.not_sent.items() if reason != _ON_PURPOSE)
        if reasons:
            typer.echo(f"not sent, {group.name}: {reasons}")
    if report.ahead:
        typer.echo(f"{report.ahead:,} exposures lie after this command's clock: give a later one with --at.")
    if with_goal:
        still = sum(group.open or 0 for group in report.groups)
        typer.echo(f"{still:,} people can still reach the goal." if still else "Nobody else can reach the goal.")


def _cells(group: "Group") -> tuple[object, ...]:
    return (group.name, group.people, group.sent, group.waiting, sum(group.not_sent.values()))


def _goal_cells(group: "Group") -> tuple[object, ...]:
    if group.rate is None or group.low is None or group.high is None:
        return (group.conversions or 0, "", "")
    return (group.conversions or 0, f"{group.rate:.1%}", f"{group.low:.1%} to {group.high:.1%}")
