"""Filling the page: every number is worked out here, the template only places it."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from outbound.domain.forecast import Forecast
from outbound.domain.money import money_text
from outbound.interfaces.forecast_page.charts import per_day, per_hour, ranking

_REASONS = 8


def write_page(file: Path, found: Forecast, beside: Forecast | None, *, assumed: str) -> None:
    """Write the page of a forecast, ``beside`` another one, to ``file``. Raises OSError."""
    file.write_text(page(found, beside, assumed=assumed), encoding="utf-8")


def page(found: Forecast, beside: Forecast | None, *, assumed: str) -> str:
    """The page as HTML. It asks for nothing from anywhere: no script, no font, no picture, no style sheet."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["money"] = lambda amount: money_text(amount, found.currency)
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.get_template("page.html").render(_values(found, beside, assumed))


def _values(found: Forecast, beside: Forecast | None, assumed: str) -> dict[str, Any]:
    reached = sum(number for messages, number in found.people.items() if messages)
    everybody = sum(found.people.values())
    people = {("none" if not n else f"{n} message{'' if n == 1 else 's'}"): count for n, count in found.people.items()}
    return {
        "found": found,
        "beside": beside,
        "before": {one.rule: one for one in beside.rules} if beside else {},
        "assumed": assumed,
        "days": (found.until - found.start).days,
        "reached": reached,
        "everybody": everybody,
        "share": f"{100 * reached / everybody:.0f} %" if everybody else "",
        "average": f"{found.sent / reached:.1f}" if reached else "0",
        "busiest": found.busiest,
        "per_day": per_day(found),
        "per_hour": per_hour(found),
        "skipped": ranking(found.skipped_by, paint="stop", most=_REASONS),
        "held": ranking(found.held_by, paint="wait", most=_REASONS),
        "people": ranking(people, paint="series-0", most=len(people)),
        "rules": [one for one in found.rules if not one.silence],
        "silent": [one for one in found.rules if one.silence],
    }
