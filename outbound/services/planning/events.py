"""Event rules: each pending event is shown once to every rule that listens to it.

Decisions, messages and the mark on the events are one transaction, so an event is never half handled.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from outbound.domain.customer import Event, Scalar
from outbound.domain.person import Person
from outbound.domain.rule import Rule
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning import enters
from outbound.services.planning.clerk import Judged
from outbound.services.planning.compiled import Listener, compiled, live_at
from outbound.services.planning.enqueue import draw_up, write
from outbound.services.planning.firing import rule_lock
from outbound.services.planning.judge import judge, keys_of
from outbound.services.planning.loops import Backstop
from outbound.services.planning.occurrence import Occurrence, Prospect, event_placeholders, template_of
from outbound.services.planning.report import Counts
from outbound.services.planning.strangers import Turnstile
from outbound.services.planning.window import Pass
from outbound.services.releases import Active
from outbound.storage import chains, decisions, event_runs, pending, runs
from outbound.storage import events as event_log
from outbound.storage.people import load_people

BATCH = 500
"""Events handled in one transaction."""

CAUSE = "message"
"""The field of an event that names the message of ours it came of (``policy.loops``)."""

LOCK = "plan:events"
"""One planner of events at a time: batches are short, and their order is that of receipt."""


def plan_events(work: Pass) -> None:
    """Show the pending events of customers in the store to the rules, until none is left."""
    if not work.waiting:
        return
    first = True
    while (handled := _plan_batch(work)) == BATCH:
        if first:
            # Many at once: what no rule listens to is not worth loading.
            with work.database.write() as connection:
                runs.lock(connection, LOCK)
                work.events += pending.ignore_unheard(connection, compiled(work.active).heard, now=work.now)
        first = False
    work.waiting = handled < 0


def _plan_batch(work: Pass) -> int:
    """Handle one batch; answers how many events it held, or -1 when it held the last ones but others must wait on."""
    rules = compiled(work.active)
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        found = pending.take(connection, now=work.now, limit=BATCH)
        events = found.events
        heard = [e for e in events if e.name in rules.listeners]
        doors = [x for x in rules.doorways.values() if any(e.name in x.events for e in events)]
        if doors:
            enters.hold(connection, doors)
        if heard:
            batch = Batch(work, connection, heard)
            for event in heard:
                batch.show(event, rules.listeners[event.name])
            batch.enqueue()
        if doors:
            enters.settle_after(connection, work, ((e.customer_id, e.name) for e in events), events=True)
        event_log.mark_handled(connection, pending.ids_of(events), now=work.now)
        work.events += len(events)
        return -1 if found.others and len(events) < BATCH else len(events)


@dataclass(slots=True)
class _Day:
    """What one rule does with the events of one day: a run."""

    rule: Rule
    prospects: list[Prospect] = field(default_factory=list)
    misses: list[tuple[str, int]] = field(default_factory=list)


class Batch:
    """Some events with everything the rules ask about, loaded set-wise.

    ``again``: they were shown to rules before (`outbound replay`). Rules that were published since see them too,
    and whom they do not concern is not written down a second time.
    """

    def __init__(self, work: Pass, connection: Connection, events: Sequence[Event], *, again: bool = False) -> None:
        self._again = again
        self._work = work
        self._connection = connection
        self._people = load_people(connection, sorted({e.customer_id for e in events}))
        self._history = _history(connection, work, events)
        self._depths = _depths(connection, events)
        self._backstop = Backstop(connection, work.active.ruleset.policy.loops, now=work.now)
        policy = work.active.ruleset.policy
        self._turnstile = Turnstile(connection, policy, self._people, work.keyring, now=work.now)
        self._days: dict[tuple[str, str], _Day] = {}
        self._last = events[-1].id

    def show(self, event: Event, listeners: Iterable[Listener]) -> None:
        """Ask the rules about one event."""
        person = self._people.get(event.customer_id)
        if person is None:
            return
        active, now = self._work.active, self._work.now
        zone = resolve_zones(customer_source(person.customer), active.ruleset.policy).at
        facts = Facts(
            customer=customer_values(person.customer),
            event=event.data,
            history=self._history.get(event.customer_id, ()),
            now=now,
            today=local_day(now, zone),
            zone=zone,
        )
        slot = run_slot(event)
        for listener in listeners:
            rule = listener.rule
            shown_at = now if self._again else event.received_at
            if not live_at(active, rule, shown_at, zone) or listener.condition(facts) is not True:
                continue
            day = self._days.setdefault((rule.id, slot), _Day(rule))
            if listener.who(facts) is True:
                depth = self._depths.get(event.data.get(CAUSE), 0)
                occurrence = event_occurrence(active, rule, event, person, now=now, depth=depth)
                day.prospects.append(Prospect(customer_id=event.customer_id, occurrence=occurrence))
            else:
                day.misses.append((event.customer_id, listener.first_miss(facts)))

    def judged(self) -> Iterator[tuple[Rule, list[Judged], int]]:
        """What ``enqueue`` would decide: rule, candidates, and how many were decided before. Nothing is written."""
        active, now = self._work.active, self._work.now
        for key in sorted(self._days):
            day = self._days[key]
            if day.prospects:
                found = judge(self._connection, active, day.rule, day.prospects, now=now, people=self._people)
                yield day.rule, self._backstop.passed(found.candidates), len(found.already)

    def enqueue(self) -> dict[str, Counts]:
        """Decide and queue what matched, one run per rule and day, always in the same order of locks.

        Answers the counts by rule.
        """
        by_rule: dict[str, Counts] = {}
        if not self._days:
            return by_rule
        run_ids = open_event_runs(self._connection, self._work, {key: self._days[key].rule for key in self._days})
        for slot in sorted({slot for _, slot in self._days}):
            keys = sorted(key for key, day in self._days.items() if key[1] == slot and day.prospects)
            for key, counts in self._enqueue([(key, run_ids[key]) for key in keys]):
                day = self._days[key]
                day.misses += [(customer_id, runs.NOT_COVERED) for customer_id in counts.outside]
                self._work.counts.add(counts)
                by_rule.setdefault(day.rule.id, Counts()).add(counts)
        if not self._again:
            misses = {run_ids[key]: day.misses for key, day in self._days.items() if day.misses}
            event_runs.record_misses(self._connection, misses, upto=self._last, now=self._work.now)
        return by_rule

    def _enqueue(self, opened: Sequence[tuple[event_runs.Key, str]]) -> list[tuple[event_runs.Key, Counts]]:
        """The rules of one day with their runs: what all of them ask and write is one statement each."""
        connection, active, now = self._connection, self._work.active, self._work.now
        asked = [(self._days[key], run_id) for key, run_id in opened]
        keys = [key for day, _ in asked for key in keys_of(day.rule, day.prospects, self._people)]
        known = decisions.decided_by(connection, keys)
        drawn = []
        for day, run_id in asked:
            found = judge(
                connection, active, day.rule, day.prospects, now=now, run_id=run_id, people=self._people, known=known
            )
            turnstile = None if self._again else self._turnstile
            drawn.append(
                draw_up(
                    connection,
                    active,
                    day.rule,
                    found,
                    run_id=run_id,
                    now=now,
                    backstop=self._backstop,
                    turnstile=turnstile,
                )
            )
        counts = write(connection, active, drawn, now=now)
        return [(key, of_rule) for (key, _), of_rule in zip(opened, counts, strict=True)]


def open_event_runs(
    connection: Connection, work: Pass, rules: Mapping[event_runs.Key, Rule]
) -> dict[event_runs.Key, str]:
    """The runs of event rules by (rule, UTC day), under the locks of the rules."""
    for _, rule in sorted({rule.id: rule for rule in rules.values()}.items()):
        runs.lock(connection, rule_lock(rule))
    wanted = {key: rule.version for key, rule in rules.items()}
    return event_runs.open_runs(connection, wanted, release=work.active.id, now=work.now)


def run_slot(event: Event) -> str:
    """The run an event belongs to: the UTC day it was received."""
    return event.received_at.astimezone(UTC).date().isoformat()


def event_occurrence(
    active: Active, rule: Rule, event: Event, person: Person | None, *, now: datetime, depth: int = 0
) -> Occurrence:
    """The occurrence an event makes. It expires counted from the event's own time."""
    source = customer_source(person.customer) if person else ""
    zone = resolve_zones(source, active.ruleset.policy).at
    return Occurrence(
        placeholders=event_placeholders(event),
        values={"event": {**event.data, "id": event.id}},
        template=template_of(rule),
        due=now,
        expires=add(event.at, rule.expires, zone),
        zone=zone,
        depth=depth,
    )


def _depths(connection: Connection, events: Iterable[Event]) -> dict[Scalar, int]:
    """By message that caused one of the events: how deep in a chain its successor is."""
    causes = {cause for event in events if isinstance(cause := event.data.get(CAUSE), str) and cause}
    return {cause: depth + 1 for cause, depth in chains.depths(connection, sorted(causes)).items()} if causes else {}


def _history(connection: Connection, work: Pass, events: Iterable[Event]) -> Mapping[str, Sequence[Event]]:
    """The past of the customers whose events are asked about by a rule that looks back."""
    names: set[str] = set()
    customers: set[str] = set()
    for event in events:
        looked_at = {n for x in compiled(work.active).listeners.get(event.name, ()) for n in x.history}
        if looked_at:
            names |= looked_at
            customers.add(event.customer_id)
    return event_log.history(connection, sorted(customers), names) if names else {}
