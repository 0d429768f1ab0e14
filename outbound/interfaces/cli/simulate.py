"""``outbound simulate``: the rules lived through on a copy of the real data, with a virtual clock and no provider."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from outbound.domain.forecast import Forecast
    from outbound.domain.release import Files
    from outbound.interfaces.cli.context import Context
    from outbound.services.forecast.simulation import Installation, Wish


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def simulate(
        days: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days to live through.")] = 30,
        since: Annotated[
            str, typer.Option("--from", metavar="TIME", help="Live the past again under these rules, from TIME on.")
        ] = "",
        react: Annotated[
            list[str] | None,
            typer.Option("--react", metavar="EVENT=PERCENT", help="Suppose reactions, as message.clicked=12%."),
        ] = None,
        seed: Annotated[int, typer.Option("--seed", metavar="N", help="Who reacts is drawn from this.")] = 1,
        compare: Annotated[
            str,
            typer.Option(
                "--compare", metavar="RELEASE|FOLDER", help="Beside a release, `running`, or a folder of both folders."
            ),
        ] = "",
        html: Annotated[
            Path | None, typer.Option("--html", metavar="FILE", help="Write one page with charts, complete in itself.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Live days ahead with the files as they are. The real engine on a copy, no provider, nothing written."""
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.simulate_text import as_printed, print_forecast
        from outbound.services import working_copy

        with open_context() as context:
            wish = _wish(context, days, since, react or [], seed)
            settings = context.settings
            other: Files | str | None = None
            if compare:
                folder = Path(compare)
                running = "" if compare == "running" else compare
                other = working_copy.read_files(folder / "rules", folder / "templates") if folder.is_dir() else running
            files = working_copy.read_files(settings.rules_dir, settings.templates_dir)
            installation = _installation(context)
            found = _live(installation, files, wish, "simulate")
            beside = None if other is None else _live(installation, other, wish, f"simulate {compare}")
        if html is not None:
            from outbound.interfaces.forecast_page import write_page

            write_page(html, found, beside, assumed=assumed(wish))
        if as_json:
            print_json({"forecast": as_printed(found), "compared": as_printed(beside) if beside else None})
            return
        print_forecast(found, beside, named=compare)
        typer.echo(assumed(wish))
        if html is not None:
            typer.echo(f"The page: {html}")


def assumed(wish: "Wish") -> str:
    """What the figures rest on, in one sentence."""
    if wish.reactions:
        told = ", ".join(f"{one.event}={100 * one.share:.4g}%" for one in wish.reactions)
        supposed = f"Supposes {told} with seed {wish.seed}; no other event"
    else:
        supposed = "Assumes no opens or clicks (--react 'message.clicked=12%' --seed 1), no new customers or events"
    if wish.replay:
        supposed = (
            "Providers answer, events, consents and blocks come as they did; attributes and addresses are today's"
        )
        if wish.reactions:
            supposed += f"; supposes {', '.join(one.event for one in wish.reactions)} with seed {wish.seed}"
        return f"{supposed}."
    return f"{supposed}. Every provider accepts."


def _wish(context: "Context", days: int, since: str, react: list[str], seed: int) -> "Wish":
    from datetime import timedelta

    from outbound.domain.errors import OutboundError
    from outbound.interfaces.cli.arguments import wrong_usage
    from outbound.services.forecast import Stretch
    from outbound.services.forecast.reactions import read_reactions
    from outbound.services.forecast.simulation import Wish

    now = context.now()
    try:
        start = _instant(since) if since else now
        reactions = read_reactions(react)
    except OutboundError as error:
        wrong_usage(str(error))
    if since and start >= now:
        wrong_usage("--from is a time in the past; days ahead are lived through without it")
    stretch = Stretch(start=start, until=start + timedelta(days=days))
    return Wish(stretch=stretch, replay=bool(since), reactions=reactions, seed=seed)


def _instant(text: str) -> "datetime":
    """A time with an offset, or the first moment (UTC) of a date."""
    from datetime import UTC, date, datetime, time

    from outbound.interfaces.cli.context import parse_instant

    try:
        return datetime.combine(date.fromisoformat(text), time.min, UTC)
    except ValueError:
        return parse_instant(text)


def _installation(context: "Context") -> "Installation":
    from outbound.app import accounts
    from outbound.services.forecast.simulation import Installation

    settings = context.settings
    return Installation(url=settings.database_url, accounts=accounts(settings), keyring=context.keyring)


def _live(installation: "Installation", what: "Files | str", wish: "Wish", name: str) -> "Forecast":
    """Live through it, or print why it cannot run and exit 1."""
    from outbound.interfaces.cli.check import summary
    from outbound.interfaces.cli.exits import EXIT_ERROR
    from outbound.interfaces.cli.progress import passing
    from outbound.services.forecast.simulation import Told
    from outbound.services.forecast.simulation import simulate as live

    with passing(name, wish.stretch.start, wish.stretch.until) as told:
        found = live(installation, what, wish, told=Told(living=told))
    if isinstance(found, tuple):
        for problem in found:
            typer.echo(problem.render(), err=True)
        typer.echo(f"Not simulated: {summary(found)}.", err=True)
        raise typer.Exit(EXIT_ERROR)
    return found
