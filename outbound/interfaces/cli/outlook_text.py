"""The days ahead as people read them: collisions, messages and costs by day, what is not sent, the sums last."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbound.domain.forecast import Forecast
    from outbound.services.plans.outlook import Collision, Outlook

_MOST_COLLISIONS = 12


def outlook_lines(outlook: "Outlook", *, rule: str = "") -> Iterator[str]:
    """Everything, or with ``rule`` what concerns that rule."""
    figures = outlook.forecast
    collisions = [one for one in outlook.collisions if rule in {"", one.winner, one.loser}]
    for one in collisions[:_MOST_COLLISIONS]:
        yield _collision(one, figures)
    if len(collisions) > _MOST_COLLISIONS:
        yield f"! {len(collisions) - _MOST_COLLISIONS} more collisions (--rule, --json)"
    if rule:
        yield from _of_rule(figures, rule)
        return
    yield from _days(figures)
    yield _sum(figures)
    if figures.skipped_by:
        yield f"Not sent: {_reasons(figures.skipped_by)}."
    if figures.held_by:
        yield f"Held on the way: {_reasons(figures.held_by)}."


def _collision(one: "Collision", figures: "Forecast") -> str:
    from outbound.engine.timing.zones import zone_named

    by = f" (cap {one.by})" if one.by else ""
    later = f"{one.until.astimezone(zone_named(figures.zone)):%a %-d %b %H:%M}" if one.until else ""
    fate = f"{one.loser} waits to {later}" if later else f"{one.loser} does not go"
    never = f", {one.never:,} not within these days" if later and one.never else ""
    both = f"{one.winner} and {one.loser}, {one.day:%a %-d %b}, {_people(one.people)}"
    return f"! collision  {both}: {one.winner} goes first{by}, {fate}{never}"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _days(figures: "Forecast") -> Iterator[str]:
    by_day: dict[object, list[str]] = {}
    for one in figures.days:
        by_day.setdefault(one.day, []).append(f"{one.channel} {one.messages:,}{_cost(one.cost, figures)}")
    for day, channels in by_day.items():
        yield f"  {day:%a %-d %b}".ljust(13) + ", ".join(channels)


def _sum(figures: "Forecast") -> str:
    from outbound.domain.money import money_text

    days = (figures.until - figures.start).total_seconds() / 86_400
    length = f"{days:g} day{'' if days == 1 else 's'}" if days >= 1 else f"{days * 24:g} hours"
    channels = ", ".join(f"{name} {n:,}{_cost(cost, figures)}" for name, (n, cost) in figures.channels.items())
    told = f": {channels}. Total {money_text(figures.cost, figures.currency)}" if channels else ""
    return f"Next {length}: {figures.sent:,} messages{told}"


def _cost(cost: int, figures: "Forecast") -> str:
    from outbound.domain.money import money_text

    return f" ({money_text(cost, figures.currency)})" if cost else ""


def _reasons(counts: "dict[str, int]") -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.items())


def _of_rule(figures: "Forecast", rule: str) -> Iterator[str]:
    one = next((found for found in figures.rules if found.rule == rule), None)
    if one is None:
        return
    said = f"Next days, {rule}: {one.entered:,} decided, {one.sent:,} sent{_cost(one.cost, figures)}"
    held = f", held {_reasons(dict(one.held_by))}" if one.held_by else ""
    skipped = f", not sent {_reasons(dict(one.skipped_by))}" if one.skipped_by else ""
    waiting = f", {one.waiting:,} still wait" if one.waiting else ""
    why = f": {one.silence}" if one.silence else ""
    yield f"{said}{held}{skipped}{waiting}{why}"
