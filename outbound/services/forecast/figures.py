"""The figures of a stretch that was lived through, read from its scratch copy."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime

from outbound.domain.forecast import DayFigures, Forecast, HourFigures, RuleFigures
from outbound.engine.costs import currency_of
from outbound.engine.timing.zones import zone_named
from outbound.services.forecast.course import Stretch
from outbound.services.forecast.silence import silence_of
from outbound.services.releases import Active
from outbound.storage import forecast_sums
from outbound.storage.database import Database
from outbound.storage.forecast_sums import Left, Reasoned

_MOST = 5


def figures(database: Database, active: Active, stretch: Stretch) -> Forecast:
    """What the stretch came to. Every rule is listed, drafts too, and any that is gone where it still sent."""
    start, until = stretch.start, stretch.until
    policy = active.ruleset.policy
    with database.read() as connection:
        left = forecast_sums.left(connection, start, until)
        entered = forecast_sums.entered(connection, start)
        skipped, held = forecast_sums.skipped(connection, start), forecast_sums.held(connection, start)
        waiting = forecast_sums.waiting(connection)
        most_by_rule = forecast_sums.most_by_rule(connection, start, until)
        people = forecast_sums.people(connection, start, until)
        most = forecast_sums.most(connection, start, until, limit=_MOST)
    sent, cost = Counter[str](), Counter[str]()
    for one in left:
        sent[one.rule] += one.messages
        cost[one.rule] += one.cost
    skips, holds = _by_rule(skipped), _by_rule(held)
    names = [*active.ruleset.rules, *sorted(sent.keys() - active.ruleset.rules.keys())]
    rules = tuple(
        RuleFigures(
            rule=name,
            entered=entered.get(name, 0),
            sent=sent[name],
            held=sum(holds[name].values()),
            skipped=sum(skips[name].values()),
            waiting=waiting.get(name, 0),
            per_person_max=most_by_rule.get(name, 0),
            cost=cost[name],
            held_by=dict(holds[name].most_common()),
            skipped_by=dict(skips[name].most_common()),
            silence="" if entered.get(name) else silence_of(database, active, name, stretch),
        )
        for name in names
    )
    days, hours = _by_time(left, policy.timezone)
    return Forecast(
        release=active.id,
        start=start,
        until=until,
        zone=policy.timezone,
        currency=currency_of(policy),
        rules=rules,
        days=days,
        hours=hours,
        people=people,
        most=tuple(most),
    )


def _by_rule(found: Iterable[Reasoned]) -> defaultdict[str, Counter[str]]:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        sums[one.rule][one.reason] += one.count
    return sums


def _by_time(left: Iterable[Left], zone_name: str) -> tuple[tuple[DayFigures, ...], tuple[HourFigures, ...]]:
    zone = zone_named(zone_name)
    messages, costs = Counter[tuple[date, str]](), Counter[tuple[date, str]]()
    hours = Counter[datetime]()
    for one in left:
        local = one.at.astimezone(zone)
        key = (local.date(), one.channel)
        messages[key] += one.messages
        costs[key] += one.cost
        hours[local.replace(minute=0, second=0, microsecond=0)] += one.messages
    days = tuple(
        DayFigures(day=day, channel=channel, messages=count, cost=costs[day, channel])
        for (day, channel), count in sorted(messages.items())
    )
    return days, tuple(HourFigures(hour=hour, messages=count) for hour, count in sorted(hours.items()))
