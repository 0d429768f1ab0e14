"""Event rules: each pending event is shown once to every rule that listens to it.

Decisions, messages and the mark on the events are one transaction, so an event is never half handled.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC

from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.domain.person import Person
from outbound.domain.rule import Rule
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning import enters
from outbound.services.planning.compiled import Listener, compiled, live_at
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.firing import rule_lock
from outbound.services.planning.occurrence import Occurrence, Prospect, event_placeholders, template_of
from outbound.services.planning.window import Pass
from outbound.storage import events as event_log
from outbound.storage import pending, runs
from outbound.storage.customers import survivors
from outbound.storage.people import load_people

BATCH = 500
"""Events handled in one transaction."""

LOCK = "plan:events"
"""One planner of events at a time: batches are short, and their order is that of receipt."""


def plan_events(work: Pass) -> None:
    """Show the pending events of customers in the store to the rules, until none is left."""
    rules = compiled(work.active)
    with work.database.read() as connection:
        if not pending.any_pending(connection):
            return
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        work.events += pending.ignore_unheard(connection, rules.heard, now=work.now)
    while _plan_batch(work) == BATCH:
        pass


def _plan_batch(work: Pass) -> int:
    """Handle one batch; answers how many events it held."""
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        found = pending.of_known(connection, now=work.now, limit=BATCH)
        if not found:
            return 0
        moved = survivors(connection, sorted({e.customer_id for e in found}))
        events = [replace(e, customer_id=moved.get(e.customer_id, e.customer_id)) for e in found]
        doors = [x for x in compiled(work.active).doorways.values() if any(e.name in x.events for e in events)]
        if doors:
            enters.hold(connection, doors)
        batch = _Batch(work, connection, events)
        for event in events:
            for listener in compiled(work.active).listeners.get(event.name, ()):
                batch.show(event, listener)
        batch.enqueue()
        enters.settle_after(connection, work, ((e.customer_id, e.name) for e in events), events=True)
        event_log.mark_handled(connection, pending.ids_of(found), now=work.now)
        work.events += len(found)
        return len(found)


@dataclass(slots=True)
class _Day:
    """What one rule does with the events of one day: a run."""

    rule: Rule
    prospects: list[Prospect] = field(default_factory=list)
    misses: list[tuple[str, int]] = field(default_factory=list)


class _Batch:
    """Some events with everything the rules ask about, loaded set-wise."""

    def __init__(self, work: Pass, connection: Connection, events: Sequence[Event]) -> None:
        self._work = work
        self._connection = connection
        self._people = load_people(connection, sorted({e.customer_id for e in events}))
        self._history = _history(connection, work, events)
        self._days: dict[tuple[str, str], _Day] = {}
        self._last = events[-1].id

    def show(self, event: Event, listener: Listener) -> None:
        """Ask one rule about one event."""
        person = self._people.get(event.customer_id)
        rule, policy = listener.rule, self._work.active.ruleset.policy
        if person is None:
            return
        zone = resolve_zones(customer_source(person.customer), policy).at
        if not live_at(self._work.active, rule, event.received_at, zone):
            return
        facts = Facts(
            customer=customer_values(person.customer),
            event=event.data,
            history=self._history.get(event.customer_id, ()),
            now=self._work.now,
            today=local_day(self._work.now, zone),
            zone=zone,
        )
        if listener.condition(facts) is not True:
            return
        day = self._days.setdefault((rule.id, run_slot(event)), _Day(rule))
        if listener.who(facts) is not True:
            day.misses.append((event.customer_id, listener.first_miss(facts)))
            return
        occurrence = event_occurrence(self._work, rule, event, person)
        day.prospects.append(Prospect(customer_id=event.customer_id, occurrence=occurrence))

    def enqueue(self) -> None:
        """Decide and queue what matched, one run per rule and day, always in the same order of locks."""
        for key in sorted(self._days):
            slot, day = key[1], self._days[key]
            run_id = open_event_run(self._connection, self._work, day.rule, slot)
            counts = enqueue(
                self._connection, self._work.active, day.rule, day.prospects, run_id=run_id, now=self._work.now
            )
            self._work.counts.add(counts)
            if day.misses:
                number, _ = runs.progress(self._connection, run_id, "events")
                runs.record_range(
                    self._connection,
                    run_id=run_id,
                    zone="events",
                    number=number,
                    upto=self._last,
                    misses=day.misses,
                    now=self._work.now,
                )


def open_event_run(connection: Connection, work: Pass, rule: Rule, slot: str) -> str:
    """The run of an event rule for one UTC day, under the rule's lock."""
    runs.lock(connection, rule_lock(rule))
    return runs.open_run(
        connection,
        rule=rule.id,
        slot=slot,
        release=work.active.id,
        rule_version=rule.version,
        trigger="event",
        now=work.now,
    )


def run_slot(event: Event) -> str:
    """The run an event belongs to: the UTC day it was received."""
    return event.received_at.astimezone(UTC).date().isoformat()


def event_occurrence(work: Pass, rule: Rule, event: Event, person: Person | None) -> Occurrence:
    """The occurrence an event makes. It expires counted from the event's own time."""
    source = customer_source(person.customer) if person else ""
    zone = resolve_zones(source, work.active.ruleset.policy).at
    return Occurrence(
        placeholders=event_placeholders(event),
        values={"event": {**event.data, "id": event.id}},
        template=template_of(rule),
        due=work.now,
        expires=add(event.at, rule.expires, zone),
        zone=zone,
    )


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
