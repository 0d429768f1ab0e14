"""Rules that fire when an attribute changes: each marked change is shown once to every rule that waits for it.

Decisions, messages and the cleared mark are one transaction, so a change is never half handled. ``who`` is asked
about the customer as they are now: free to pro and back within one batch is two changes, and the rule for
``to: pro`` fires for the first of them where its ``who`` does not say otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.domain.person import Person
from outbound.domain.rule import ChangedTrigger, Rule
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning import enters
from outbound.services.planning.compiled import Listener, compiled, live_at
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.firing import rule_lock
from outbound.services.planning.occurrence import Occurrence, Prospect, template_of, text_of
from outbound.services.planning.window import Pass
from outbound.services.releases import Active
from outbound.storage import changes as change_log
from outbound.storage import events as event_log
from outbound.storage import locks, runs
from outbound.storage.changes import PendingChange
from outbound.storage.customers import survivors
from outbound.storage.people import load_people

BATCH: Final = 500
"""Changes handled in one transaction."""

LOCK: Final = "plan:changes"
"""One planner of changes at a time."""


def plan_changes(work: Pass) -> None:
    """Show the waiting changes to the rules, and to the segments that look at them, until none is left."""
    if not work.changed:
        return
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        change_log.ignore_unwatched(connection, sorted(compiled(work.active).watched))
    while _plan_batch(work) == BATCH:
        pass


def _plan_batch(work: Pass) -> int:
    """Handle one batch; answers how many changes it held."""
    rules = compiled(work.active)
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        found = change_log.take(connection, now=work.now, limit=BATCH)
        if not found:
            return 0
        _hold(connection, work, found)
        locks.customers(connection, sorted({c.customer_id for c in found}))
        moved = survivors(connection, sorted({c.customer_id for c in found}))
        changes = [replace(c, customer_id=moved.get(c.customer_id, c.customer_id)) for c in found]
        awaited = [
            (change, listener)
            for change in changes
            for listener, trigger in rules.changes.get(change.attribute, ())
            if fits(change, trigger)
        ]
        if awaited:
            _Batch(work, connection, awaited).enqueue()
        enters.settle_after(connection, work, ((c.customer_id, c.attribute) for c in changes))
        change_log.clear(connection, [c.id for c in found])
        return len(found)


def _hold(connection: Connection, work: Pass, found: Sequence[PendingChange]) -> None:
    """Every lock that comes before the customers', in one order (``storage.locks``)."""
    rules = compiled(work.active)
    names = {c.attribute for c in found}
    doors = [door for door in rules.doorways.values() if door.attributes & names]
    if doors:
        enters.hold(connection, doors)
    waiting = {x.rule.id: x.rule for name in names for x, _ in rules.changes.get(name, ())}
    for rule_id in sorted(waiting):
        runs.lock(connection, rule_lock(waiting[rule_id]))


@dataclass(slots=True)
class _Day:
    """What one rule does with the changes of one day: a run."""

    rule: Rule
    prospects: list[Prospect] = field(default_factory=list)
    misses: list[tuple[str, int]] = field(default_factory=list)


class _Batch:
    """Some changes with everything the rules ask about, loaded set-wise."""

    def __init__(self, work: Pass, connection: Connection, awaited: Sequence[tuple[PendingChange, Listener]]) -> None:
        self._work = work
        self._connection = connection
        self._people = load_people(connection, sorted({change.customer_id for change, _ in awaited}))
        self._history = _history(connection, awaited)
        self._days: dict[tuple[str, str], _Day] = {}
        self._last = max(change.customer_id for change, _ in awaited)
        for change, listener in awaited:
            self._show(change, listener)

    def _show(self, change: PendingChange, listener: Listener) -> None:
        """Ask one rule about one change."""
        person = self._people.get(change.customer_id)
        if person is None:
            return
        rule, now = listener.rule, self._work.now
        zone = resolve_zones(customer_source(person.customer), self._work.active.ruleset.policy).at
        if not live_at(self._work.active, rule, change.at, zone):
            return
        facts = Facts(
            customer=customer_values(person.customer),
            history=self._history.get(change.customer_id, ()),
            now=now,
            today=local_day(now, zone),
            zone=zone,
        )
        slot = change.at.astimezone(UTC).date().isoformat()
        day = self._days.setdefault((rule.id, slot), _Day(rule))
        if listener.who(facts) is not True:
            day.misses.append((change.customer_id, listener.first_miss(facts)))
            return
        occurrence = change_occurrence(self._work.active, rule, change, person, now=now)
        day.prospects.append(Prospect(customer_id=change.customer_id, occurrence=occurrence))

    def enqueue(self) -> None:
        """Decide and queue what matched, one run per rule and day."""
        for (_, slot), day in sorted(self._days.items(), key=lambda item: item[0]):
            run_id = runs.open_run(
                self._connection,
                rule=day.rule.id,
                slot=slot,
                release=self._work.active.id,
                rule_version=day.rule.version,
                trigger="changed",
                now=self._work.now,
            )
            counts = enqueue(
                self._connection,
                self._work.active,
                day.rule,
                day.prospects,
                run_id=run_id,
                now=self._work.now,
                people=self._people,
            )
            day.misses += [(customer_id, runs.NOT_COVERED) for customer_id in counts.outside]
            self._work.counts.add(counts)
            if day.misses:
                number, _ = runs.progress(self._connection, run_id, "changes")
                runs.record_range(
                    self._connection,
                    run_id=run_id,
                    zone="changes",
                    number=number,
                    upto=self._last,
                    misses=day.misses,
                    now=self._work.now,
                )


def fits(change: PendingChange, trigger: ChangedTrigger) -> bool:
    """Whether the change is one the rule waits for: really another value, from and to what is written."""
    if change.first or _same(change.old, change.new):
        return False
    return (trigger.old is None or _same(change.old, trigger.old)) and (
        trigger.new is None or _same(change.new, trigger.new)
    )


def _same(one: object, other: object) -> bool:
    """Equal, and both or neither a truth value: in Python 1 is True."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def change_values(change: PendingChange, zone: ZoneInfo) -> Mapping[str, Mapping[str, Any]]:
    """What a template may read of a change; its date is that of the customer's zone."""
    day = local_day(change.at, zone).isoformat()
    return {"change": {"attribute": change.attribute, "old": change.old, "new": change.new, "date": day}}


def change_occurrence(
    active: Active, rule: Rule, change: PendingChange, person: Person, *, now: datetime, identity: str | None = None
) -> Occurrence:
    """The occurrence a change makes. It expires counted from the change's own time."""
    zone = resolve_zones(customer_source(person.customer), active.ruleset.policy).at
    day = local_day(change.at, zone).isoformat()
    return Occurrence(
        placeholders={"change.id": identity or text_of(change.id, "change.id"), "change.date": day},
        values=change_values(change, zone),
        template=template_of(rule),
        due=now,
        expires=add(change.at, rule.expires, zone),
        zone=zone,
    )


def _history(
    connection: Connection, awaited: Sequence[tuple[PendingChange, Listener]]
) -> Mapping[str, Sequence[Event]]:
    """The past of the customers whose change is asked about by a rule that looks back."""
    names = {name for _, listener in awaited for name in listener.history}
    customers = {change.customer_id for change, listener in awaited if listener.history}
    return event_log.history(connection, sorted(customers), names) if names else {}
