"""``outbound apply --include-current``: new rules on changes and on entering also fire for what was there already.

The fact ``include_current`` names the rules. Each is planned in key ranges that commit whole, like a slot; with
the last range the rule's name goes. The occurrence is one for ever (``current``), so nobody is addressed twice.
"""

import json
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause, Compare, Condition, Has, Literal, Path, Root, ValueType
from outbound.domain.rule import ChangedTrigger, EntersTrigger, Rule
from outbound.engine.conditions.facts import customer_values
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import customer_source, resolve_zones, zone_named
from outbound.services.baselines import CURRENT
from outbound.services.planning import enters
from outbound.services.planning.changes import change_occurrence
from outbound.services.planning.compiled import compiled
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.firing import RANGE, rule_lock
from outbound.services.planning.occurrence import Prospect
from outbound.services.planning.window import Pass
from outbound.storage import audience, memberships, runs
from outbound.storage.audience import Members
from outbound.storage.changes import PendingChange
from outbound.storage.conditions import clause_sql
from outbound.storage.people import load_people

_ZONE: Final = "current"
_MISSES: Final = f"{_ZONE} misses"
_NOTHING: Final = "{}"


def plan_current(work: Pass) -> None:
    """Fire the rules that wait for it, for everybody whom they would have fired for before."""
    rules = compiled(work.active)
    if not rules.changes and not rules.doorways:
        return
    with work.database.read() as connection:
        waiting = json.loads(runs.read_fact(connection, CURRENT) or _NOTHING)
    for rule_id, at in sorted(waiting.items()):
        rule = work.active.ruleset.rules.get(rule_id)
        if rule is None or rule.draft:
            continue
        with work.isolated():
            while _plan_range(work, rule, datetime.fromisoformat(at)):
                pass


def _plan_range(work: Pass, rule: Rule, at: datetime) -> bool:
    """One key range in one transaction; answers whether another may follow."""
    slot = at.astimezone(UTC).date().isoformat()
    with work.database.write() as connection:
        if isinstance(rule.trigger, EntersTrigger):
            runs.lock(connection, memberships.LOCK)
        runs.lock(connection, rule_lock(rule))
        waiting = json.loads(runs.read_fact(connection, CURRENT) or _NOTHING)
        if rule.id not in waiting:
            return False  # another planner was first
        begun = runs.find_run(connection, rule=rule.id, slot=slot)
        number, after = runs.progress(connection, begun, _ZONE) if begun else (0, "")
        match rule.trigger:
            case EntersTrigger(segment=segment):
                ids = _enter(work, connection, rule, segment, after, at=at, slot=slot)
            case ChangedTrigger() as trigger:
                ids = _change(work, connection, rule, trigger, after, at=at, slot=slot)
            case _:
                ids = []
        if ids:
            run_id = _open_run(work, connection, rule, slot)
            runs.record_range(
                connection, run_id=run_id, zone=_ZONE, number=number, upto=ids[-1], misses=(), now=work.now
            )
        if len(ids) == RANGE:
            return True
        del waiting[rule.id]
        runs.write_fact(connection, CURRENT, json.dumps(waiting))
        return False


def _enter(
    work: Pass, connection: Connection, rule: Rule, segment: str, after: str, *, at: datetime, slot: str
) -> list[str]:
    members = memberships.insiders(connection, segment, after=after, size=RANGE)
    ids = [customer_id for customer_id, _ in members]
    sources = audience.sources_of(connection, ids)
    policy = work.active.ruleset.policy
    entries = [
        enters.Entry(customer_id, number, resolve_zones(sources[customer_id], policy).at)
        for customer_id, number in members
        if customer_id in sources
    ]
    enters.fire(connection, work, rule, entries, slot=slot, at=at, progress=_MISSES)
    return ids


def _change(
    work: Pass, connection: Connection, rule: Rule, trigger: ChangedTrigger, after: str, *, at: datetime, slot: str
) -> list[str]:
    policy = work.active.ruleset.policy
    wanted = _wanted(work, rule, trigger)
    zone = zone_named(policy.timezone)
    match = clause_sql(
        wanted, now=work.now, today=local_day(work.now, zone), zone=zone, dialect=connection.dialect.name
    )
    found = audience.key_range(connection, members=Members(), match=match, who=(), after=after, size=RANGE)
    ids = [customer_id for customer_id, _ in found]
    people = load_people(connection, ids)
    by_zone: dict[str, list[str]] = {}
    for customer_id, person in people.items():
        by_zone.setdefault(resolve_zones(customer_source(person.customer), policy).at.key, []).append(customer_id)
    matched: set[str] = set()
    for key, some in sorted(by_zone.items()):
        there = zone_named(key)
        who = [
            clause_sql(c, now=work.now, today=local_day(work.now, there), zone=there, dialect=connection.dialect.name)
            for c in rule.who
        ]
        matched |= {k for k, miss in audience.among_these(connection, some, who).items() if miss == audience.MATCHED}
    prospects = []
    for customer_id in (k for k in ids if k in matched):
        person = people[customer_id]
        value = customer_values(person.customer).get(trigger.attribute)
        change = PendingChange(
            id=0, customer_id=customer_id, attribute=trigger.attribute, old=None, new=value, at=at, first=False
        )
        occurrence = change_occurrence(work.active, rule, change, person, now=work.now, identity=_ZONE)
        prospects.append(Prospect(customer_id=customer_id, occurrence=occurrence))
    if prospects:
        run_id = _open_run(work, connection, rule, slot)
        counts = enqueue(connection, work.active, rule, prospects, run_id=run_id, now=work.now)
        work.counts.add(counts)
        misses = [(customer_id, runs.NOT_COVERED) for customer_id in counts.outside]
        if misses:
            number, _ = runs.progress(connection, run_id, _MISSES)
            runs.record_range(
                connection, run_id=run_id, zone=_MISSES, number=number, upto=ids[-1], misses=misses, now=work.now
            )
    return ids


def _open_run(work: Pass, connection: Connection, rule: Rule, slot: str) -> str:
    return runs.open_run(
        connection,
        rule=rule.id,
        slot=slot,
        release=work.active.id,
        rule_version=rule.version,
        trigger="enters" if isinstance(rule.trigger, EntersTrigger) else "changed",
        now=work.now,
    )


def _wanted(work: Pass, rule: Rule, trigger: ChangedTrigger) -> Clause:
    """The attribute has the value the rule waits for, or any."""
    kind = work.active.ruleset.schema.customer[trigger.attribute].type
    path = Path(Root.CUSTOMER, trigger.attribute, rule.span, kind)
    condition: Condition = Has(path, rule.span)
    if trigger.new is not None:
        value = date.fromisoformat(str(trigger.new)) if kind is ValueType.DATE else trigger.new
        condition = Compare("==", path, Literal(value, rule.span), rule.span)
    return Clause(condition, "", rule.span)
