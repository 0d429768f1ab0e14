"""The rules of a release arranged the way planning asks for them, compiled once per process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.policy import Topic
from outbound.domain.rule import DateTrigger, EventTrigger, Rule, ScheduleTrigger
from outbound.engine.conditions.evaluate import evaluate
from outbound.engine.conditions.facts import Facts, needs_history
from outbound.engine.timing.walls import resolve_wall
from outbound.engine.timing.zones import zone_named
from outbound.services.releases import Active

Test = Callable[[Facts], bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A rule and its conditions, ready to be asked about one event. ``history``: the events it looks back at."""

    rule: Rule
    condition: Test
    who: Test
    clauses: tuple[Test, ...]
    history: frozenset[str]

    def first_miss(self, facts: Facts) -> int:
        """The index of the first line of ``who`` that is not true."""
        return next((n for n, clause in enumerate(self.clauses) if clause(facts) is not True), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Live rules (no drafts) by kind of trigger."""

    listeners: Mapping[str, tuple[Listener, ...]]
    schedules: tuple[tuple[Rule, ScheduleTrigger], ...]
    dates: tuple[tuple[Rule, DateTrigger], ...]


@lru_cache(maxsize=8)
def compiled(active: Active) -> Compiled:
    """The rules of a release, arranged. Cached by the identity of ``active``."""
    listeners: dict[str, tuple[Listener, ...]] = {}
    schedules, dates = [], []
    for rule in active.ruleset.rules.values():
        match rule.trigger:
            case _ if rule.draft:
                pass
            case EventTrigger() as trigger:
                listener = Listener(
                    rule=rule,
                    condition=evaluate(trigger.condition),
                    who=evaluate(rule.who),
                    clauses=tuple(evaluate((clause,)) for clause in rule.who),
                    history=needs_history((*trigger.condition, *rule.who)),
                )
                listeners[trigger.event] = (*listeners.get(trigger.event, ()), listener)
            case ScheduleTrigger() as trigger:
                schedules.append((rule, trigger))
            case DateTrigger() as trigger:
                dates.append((rule, trigger))
            case _:
                pass
    return Compiled(listeners=listeners, schedules=tuple(schedules), dates=tuple(dates))


def topic_of(active: Active, rule: Rule) -> Topic:
    """The rule's topic; the check has made sure that it exists."""
    return active.ruleset.policy.topics[rule.topic]


def live_at(active: Active, rule: Rule, at: datetime, zone: ZoneInfo) -> bool:
    """Whether the rule fires for what happens at ``at``: published by then, and within its ``active`` range.

    A day in ``active`` counts in ``zone``, both ends included; a time is wall clock of the policy's zone, or an
    instant where it carries an offset, and ``until`` a time is exclusive.
    """
    since = active.since.get(rule.id)
    if since is not None and at < since:
        return False
    policy_zone = zone_named(active.ruleset.policy.timezone)
    if rule.active_from is not None and at < _edge(rule.active_from, zone, policy_zone):
        return False
    if rule.active_until is None:
        return True
    if isinstance(rule.active_until, datetime):
        return at < _edge(rule.active_until, zone, policy_zone)
    return at.astimezone(zone).date() <= rule.active_until


def _edge(moment: datetime | date, zone: ZoneInfo, policy_zone: ZoneInfo) -> datetime:
    if not isinstance(moment, datetime):
        return resolve_wall(datetime.combine(moment, time.min), zone)
    if moment.tzinfo is None:
        return resolve_wall(moment, policy_zone)
    return moment.astimezone(UTC)
