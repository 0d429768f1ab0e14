"""The rules of a release arranged the way planning asks for them, compiled once per process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.condition import Clause
from outbound.domain.policy import Topic
from outbound.domain.rule import (
    ChangedTrigger,
    DateTrigger,
    EntersTrigger,
    EventTrigger,
    Rule,
    ScheduleTrigger,
    UnknownCustomerAction,
)
from outbound.engine.conditions.evaluate import evaluate
from outbound.engine.conditions.facts import Facts, needs_history
from outbound.engine.conditions.parts import needs_attributes
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
class Doorway:
    """A segment with the rules that fire for whoever enters it, and what its conditions look at.

    ``refusable``: the topics of all its rules where people can say no to each of them, else nothing. Who refuses
    them all is not looked at any more: that would be profiling for marketing (GDPR art. 21(2)-(3), C37).
    """

    segment: str
    clauses: tuple[Clause, ...]
    attributes: frozenset[str]
    events: frozenset[str]
    rules: tuple[Rule, ...]
    refusable: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """Live rules (no drafts) by kind of trigger; ``changes`` by attribute, ``doorways`` by segment."""

    listeners: Mapping[str, tuple[Listener, ...]]
    schedules: tuple[tuple[Rule, ScheduleTrigger], ...]
    dates: tuple[tuple[Rule, DateTrigger], ...]
    changes: Mapping[str, tuple[tuple[Listener, ChangedTrigger], ...]] = field(default_factory=dict)
    doorways: Mapping[str, Doorway] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> tuple[tuple[str | None, str | None], ...]:
        """The zones and calendars that schedules and dates go by, each pair once."""
        triggers: list[ScheduleTrigger | DateTrigger] = [
            *(trigger for _, trigger in self.schedules),
            *(trigger for _, trigger in self.dates),
        ]
        return tuple(dict.fromkeys((trigger.zone, trigger.calendar) for trigger in triggers))

    @cached_property
    def creating(self) -> frozenset[str]:
        """The events of which a rule makes customers that nobody knows yet."""
        return frozenset(
            name
            for name, listeners in self.listeners.items()
            if any(x.rule.unknown_customer is UnknownCustomerAction.CREATE for x in listeners)
        )

    @property
    def heard(self) -> frozenset[str]:
        """The events that a rule listens to or a watched segment looks at."""
        return frozenset(self.listeners).union(*(door.events for door in self.doorways.values()))

    @property
    def watched(self) -> frozenset[str]:
        """The attributes that a rule waits for or a watched segment looks at."""
        return frozenset(self.changes).union(*(door.attributes for door in self.doorways.values()))


@lru_cache(maxsize=8)
def compiled(active: Active) -> Compiled:
    """The rules of a release, arranged. Cached by the identity of ``active``."""
    listeners: dict[str, tuple[Listener, ...]] = {}
    changes: dict[str, tuple[tuple[Listener, ChangedTrigger], ...]] = {}
    entered: dict[str, tuple[Rule, ...]] = {}
    schedules, dates = [], []
    for rule in active.ruleset.rules.values():
        match rule.trigger:
            case _ if rule.draft:
                pass
            case EventTrigger() as trigger:
                listener = _listener(rule, trigger.condition)
                listeners[trigger.event] = (*listeners.get(trigger.event, ()), listener)
            case ScheduleTrigger() as trigger:
                schedules.append((rule, trigger))
            case DateTrigger() as trigger:
                dates.append((rule, trigger))
            case ChangedTrigger() as trigger:
                changes[trigger.attribute] = (*changes.get(trigger.attribute, ()), (_listener(rule, ()), trigger))
            case EntersTrigger() as trigger:
                entered[trigger.segment] = (*entered.get(trigger.segment, ()), rule)
            case _:
                pass
    return Compiled(
        listeners=listeners,
        schedules=tuple(schedules),
        dates=tuple(dates),
        changes=changes,
        doorways={name: _doorway(active, name, rules) for name, rules in sorted(entered.items())},
    )


def _listener(rule: Rule, condition: tuple[Clause, ...]) -> Listener:
    return Listener(
        rule=rule,
        condition=evaluate(condition),
        who=evaluate(rule.who),
        clauses=tuple(evaluate((clause,)) for clause in rule.who),
        history=needs_history((*condition, *rule.who)),
    )


def _doorway(active: Active, segment: str, rules: tuple[Rule, ...]) -> Doorway:
    clauses = active.ruleset.segments[segment]
    topics = {rule.topic: topic_of(active, rule).declinable for rule in rules}
    return Doorway(
        segment=segment,
        clauses=clauses,
        attributes=needs_attributes(clauses),
        events=needs_history(clauses),
        rules=tuple(sorted(rules, key=lambda rule: rule.id)),
        refusable=tuple(sorted(topics)) if all(topics.values()) else (),
    )


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
