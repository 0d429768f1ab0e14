"""What an experiment is, since when it is frozen, and what came of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from math import inf, sqrt
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause
from outbound.domain.errors import OutboundError
from outbound.domain.experiment import Experiment, GlobalHoldout
from outbound.domain.message import MessageState
from outbound.domain.policy import Policy
from outbound.domain.rule import Rule
from outbound.engine.conditions.facts import customer_values
from outbound.engine.goals import Goal
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services import releases
from outbound.services.releases import Active
from outbound.storage import audience, events
from outbound.storage import experiment_results as results
from outbound.storage import experiments as store
from outbound.storage.database import Database
from outbound.storage.experiments import Kind
from outbound.storage.people import load_people

HELD_OUT = "held out"
_Z = 1.959964
"""The 97.5 % point of the normal distribution: 95 % lie between it and its opposite."""
_WAITING = frozenset({MessageState.SCHEDULED, MessageState.READY, MessageState.CLAIMED, MessageState.SENDING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One line of the list. Shares are of 10,000; ``frozen_since`` None: nobody was exposed yet.

    ``running`` is whether the active release has it (a draft has not).
    """

    id: str
    kind: str
    rule: str
    running: bool
    frozen_since: datetime | None
    coverage: int
    holdout: int
    unit: str = ""
    variants: tuple[tuple[str, int], ...] = ()
    stop: date | None = None
    goal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One variant, or the held out. ``people`` were assigned, whether or not a message could leave in the end.

    ``waiting`` and ``sent`` count messages; ``not_sent`` says why the others were not, by reason. ``conversions``
    counts the people who reached the goal so far, ``open`` those who still can; None without a goal. ``low`` and
    ``high`` bound the rate (Wilson, 95 %).
    """

    name: str
    people: int
    waiting: int
    sent: int
    not_sent: Mapping[str, int]
    conversions: int | None = None
    open: int | None = None
    rate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An experiment and its groups, the held out last. The policy's holdout has the one group.

    ``ahead`` counts the people exposed later than the clock it was asked at: none of them can have reached the goal.
    """

    summary: Summary
    groups: tuple[Group, ...]
    ahead: int = 0


def overview(database: Database) -> list[Summary]:
    """The experiments of the active release and all that ever exposed somebody, by first exposure, then by id."""
    active = releases.active(database)
    with database.read() as connection:
        frozen = store.load(connection)
    known = {**_running(active), **{f.id: None for f in frozen.values()}}
    found = [_summary(experiment_id, active, frozen.get(experiment_id)) for experiment_id in known]
    return sorted(found, key=_age)


def report(database: Database, experiment_id: str, *, now: datetime) -> Report:
    """One experiment with its results. Raises OutboundError ``experiment.unknown``."""
    active = releases.active(database)
    with database.read() as connection:
        frozen = store.load(connection, [experiment_id]).get(experiment_id)
        last = results.last_release(connection, rule=frozen.rule, experiment=experiment_id) if frozen else None
    if frozen is None and experiment_id not in _running(active):
        raise OutboundError(
            "experiment.unknown", f"there is no experiment {experiment_id!r}", "see `outbound experiment list`"
        )
    summary = _summary(experiment_id, active, frozen)
    if summary.kind == Kind.GLOBAL:
        with database.read() as connection:
            people, messages = results.held_out_globally(connection, experiment_id)
        silent = {"held_out": messages} if messages else {}
        group = Group(name=HELD_OUT, people=people, waiting=0, sent=0, not_sent=silent)
        return Report(summary=summary, groups=(group,))
    if not summary.running and last is not None:
        active = releases.by_id(database, last)
        summary = _ended(summary, active)
    rule = _rule(active, experiment_id)
    clauses = rule.experiment.goal if rule and rule.experiment else ()
    policy = active.ruleset.policy if active else None
    with database.read() as connection:
        groups = _groups(connection, summary, clauses, policy, now)
        ahead = results.exposed_after(connection, rule=summary.rule, experiment=summary.id, now=now)
    return Report(summary=summary, groups=groups, ahead=ahead)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The interval that holds the true rate 95 times in 100 (Wilson's score interval). Without trials: (0, 1)."""
    if not trials:
        return 0.0, 1.0
    p, z2 = successes / trials, _Z * _Z
    middle = p + z2 / (2 * trials)
    half = _Z * sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def _age(summary: Summary) -> tuple[float, str]:
    since = summary.frozen_since
    return (since.timestamp() if since else inf, summary.id)


def _running(active: Active | None) -> dict[str, Experiment | GlobalHoldout]:
    if active is None:
        return {}
    found: dict[str, Experiment | GlobalHoldout] = {
        rule.experiment.id: rule.experiment
        for rule in active.ruleset.rules.values()
        if rule.experiment and not rule.draft
    }
    holdout = active.ruleset.policy.holdout
    return {**found, holdout.id: holdout} if holdout else found


def _rule(active: Active | None, experiment_id: str) -> Rule | None:
    rules = active.ruleset.rules.values() if active else ()
    return next((rule for rule in rules if rule.experiment and rule.experiment.id == experiment_id), None)


def _summary(experiment_id: str, active: Active | None, frozen: store.Frozen | None) -> Summary:
    """What runs where it runs, else what was frozen."""
    what = _running(active).get(experiment_id)
    if what is None and frozen is None:
        raise ValueError(experiment_id)
    since = frozen.exposed_at if frozen else None
    definition = store.definition_of(what) if what is not None else frozen.definition if frozen else {}
    rule = _rule(active, experiment_id) if isinstance(what, Experiment) else None
    is_global = isinstance(what, GlobalHoldout) or (what is None and frozen is not None and frozen.kind is Kind.GLOBAL)
    return Summary(
        id=experiment_id,
        kind=(Kind.GLOBAL if is_global else Kind.RULE).value,
        rule=rule.id if rule else frozen.rule if frozen else "",
        running=what is not None,
        frozen_since=since,
        coverage=definition.get("coverage", 0),
        holdout=definition.get("share" if is_global else "holdout", 0),
        unit=definition.get("unit", ""),
        variants=tuple((name, weight) for name, weight in definition.get("variants", ())),
        stop=what.stop if isinstance(what, Experiment) else None,
        goal=tuple(clause.text for clause in what.goal) if isinstance(what, Experiment) else (),
    )


def _ended(summary: Summary, last: Active) -> Summary:
    """The summary of one that no longer runs, with goal and end as its last release had them."""
    rule = _rule(last, summary.id)
    if rule is None or rule.experiment is None:
        return summary
    goal = tuple(clause.text for clause in rule.experiment.goal)
    return replace(summary, stop=rule.experiment.stop, goal=goal)


@dataclass(slots=True)
class _Counts:
    """One group while its people are being counted."""

    people: int = 0
    conversions: int = 0
    open: int = 0
    states: Counter[str] = field(default_factory=Counter)
    not_sent: Counter[str] = field(default_factory=Counter)


def _groups(
    connection: Connection, summary: Summary, clauses: Sequence[Clause], policy: Policy | None, now: datetime
) -> tuple[Group, ...]:
    counts = {name: _Counts() for name in (*(name for name, _ in summary.variants), "")}
    judged = _judge(connection, clauses, policy, now) if clauses and policy else None
    for page in results.exposures(connection, rule=summary.rule, experiment=summary.id):
        for exposure in page:
            counts.setdefault(exposure.variant, _Counts()).people += 1
        if judged is not None:
            judged(page, counts)
    for tally in results.tallies(connection, rule=summary.rule, experiment=summary.id):
        group = counts.setdefault(tally.variant, _Counts())
        group.states[tally.state] += tally.count
        if tally.state != MessageState.SENT and tally.state not in _WAITING:
            group.not_sent[tally.reason or tally.state] += tally.count
    named = [name for name in counts if name]
    return tuple(_group(name, counts[name], with_goal=judged is not None) for name in (*named, ""))


def _judge(
    connection: Connection, clauses: Sequence[Clause], policy: Policy, now: datetime
) -> Callable[[Sequence[results.Exposure], Mapping[str, _Counts]], None]:
    goal = Goal(clauses)

    def judge(page: Sequence[results.Exposure], counts: Mapping[str, _Counts]) -> None:
        """Add those of a page who reached the goal, and those who still can."""
        ids = [exposure.customer_id for exposure in page]
        sources = audience.sources_of(connection, ids)
        # Whose zone is not on record has it from the phone number; everybody else is read only where the goal asks.
        people = load_people(connection, ids if goal.reads_customer else [i for i in ids if not sources.get(i)])
        history = events.history(connection, ids, goal.events, since=min(exposure.at for exposure in page))
        for exposure in page:
            person = people.get(exposure.customer_id)
            if person is None and exposure.customer_id not in sources:
                continue
            source = customer_source(person.customer) if person else sources[exposure.customer_id]
            zone: ZoneInfo = resolve_zones(source, policy).at
            values = customer_values(person.customer) if person else {}
            past = history.get(exposure.customer_id, ())
            group = counts[exposure.variant]
            if goal.reached(values, past, exposed_at=exposure.at, now=now, zone=zone):
                group.conversions += 1
            elif goal.open(exposure.at, now=now, zone=zone):
                group.open += 1

    return judge


def _group(name: str, counts: _Counts, *, with_goal: bool) -> Group:
    low, high = wilson(counts.conversions, counts.people)
    measured = with_goal and counts.people > 0
    return Group(
        name=name or HELD_OUT,
        people=counts.people,
        waiting=sum(counts.states[state] for state in _WAITING),
        sent=counts.states[MessageState.SENT],
        not_sent=dict(sorted(counts.not_sent.items())),
        conversions=counts.conversions if with_goal else None,
        open=counts.open if with_goal else None,
        rate=counts.conversions / counts.people if measured else None,
        low=low if measured else None,
        high=high if measured else None,
    )
