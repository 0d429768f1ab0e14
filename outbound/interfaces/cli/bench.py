"""``outbound bench``: how fast it is here, beside the limit measured in the same run."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from outbound.services.bench.figure import Figure

BENCHES = {
    "import": "outbound.services.bench.import_:measure",
    "plan_newsletter": "outbound.services.bench.plan_newsletter:measure",
    "plan_million": "outbound.services.bench.plan_million:measure",
    "plan_million_pg": "outbound.testing.bench.plan_million:measure",
    "simulate_month": "outbound.services.bench.simulate_month:measure",
    "decide_event": "outbound.services.bench.decide_event:measure",
    "check_rules": "outbound.services.bench.check_rules:measure",
    "plan_week": "outbound.services.bench.plan_week:measure",
    "condition": "outbound.services.bench.condition:measure",
    "render_email": "outbound.testing.bench.render_email:measure",
    "sign_dkim": "outbound.testing.bench.sign_dkim:measure",
    "send_email_sqlite": "outbound.testing.bench.send_email:measure_sqlite",
    "send_email_pg": "outbound.testing.bench.send_email:measure_pg",
    "send_email_fleet": "outbound.testing.bench.fleet:measure",
    "send_sms": "outbound.testing.bench.send_sms:measure",
    "million_flat": "outbound.testing.bench.million_flat:measure",
    "latency_idle": "outbound.testing.bench.latency:measure_idle",
    "latency_bulk": "outbound.testing.bench.latency:measure_bulk",
    "recover_killed": "outbound.testing.bench.recovery:measure",
    "api_event": "outbound.testing.bench.api_event:measure",
    "timeline": "outbound.services.bench.timeline:measure",
    "webhook_in": "outbound.testing.bench.webhook_in:measure",
    "preference_page": "outbound.testing.bench.preference_page:measure",
    "cli_start": "outbound.services.bench.cli_start:measure",
}
"""Name to module and function; loaded when it runs. The ones that need servers live in the test kit."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bench(
        names: Annotated[
            list[str] | None, typer.Argument(metavar="NAME", help=f"Which: {', '.join(BENCHES)}. Default: all.")
        ] = None,
        quick: Annotated[bool, typer.Option("--quick", help="Small inputs, one run: does it work?")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Measure how fast it is here, and exit 2 when a bar is missed. Five runs, median; servers on loopback."""
        from outbound.interfaces.cli.arguments import wrong_usage
        from outbound.interfaces.cli.exits import EXIT_CHANGES
        from outbound.interfaces.cli.output import print_json

        unknown = sorted(set(names or ()) - set(BENCHES))
        if unknown:
            wrong_usage(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
        figures: list[Figure] = []
        for name in names or BENCHES:
            typer.echo(f"{name} ...", err=True)
            figures += _load(BENCHES[name])(quick)
        if as_json:
            print_json(figures)
        else:
            _print(figures)
        if not quick and any(figure.met is False for figure in figures):
            raise typer.Exit(EXIT_CHANGES)


def _load(place: str) -> "Callable[[bool], list[Figure]]":
    from importlib import import_module

    module, _, function = place.partition(":")
    measure: Callable[[bool], list[Figure]] = getattr(import_module(module), function)
    return measure


def _print(figures: "Sequence[Figure]") -> None:
    from outbound.interfaces.cli.output import print_rows

    def number(value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits are enough

    met = {True: "yes", False: "NO", None: ""}
    rows = [
        (f.name, number(f.value), f.unit, number(f.limit), number(f.ratio), f.bar, met[f.met], f.what) for f in figures
    ]
    print_rows(("name", "value", "unit", "limit", "ratio", "bar", "met", "limit is"), rows)
