"""Plan one firing, (rule, slot, zone), in key ranges that each commit whole.

A range's decisions, messages, counts and misses are one transaction, and the firing row is inserted with the
last range. Killed anywhere, the next pass goes on behind the last committed range and builds only the missing
tail (fault F02). Two planners take the ranges in turn under the rule's lock.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Customer
from outbound.domain.limits import Counted
from outbound.domain.rule import Rule
from outbound.services.memory import uncollected
from outbound.services.planning import limits
from outbound.services.planning.alike import Memory
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.occurrence import Occurrence, Prospect, is_shared, once_key
from outbound.services.planning.report import Counts
from outbound.services.releases import Active
from outbound.storage import audience, decisions, runs
from outbound.storage.conditions import clause_sql
from outbound.storage.database import Database

RANGE = 10_000
"""Customers looked at in one transaction: the most that a kill can undo, and what bounds memory."""
_NO_MISS = frozenset({audience.MATCHED, audience.DECIDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Customers of a firing who share an occurrence. ``match`` None: everybody; ``label`` tells targets apart."""

    label: str
    match: sa.ColumnElement[bool] | None
    occurrence: Occurrence


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What is planned: the slot of a rule for one bucket. ``today`` is its local date, ``nominal`` its instant.

    ``run`` yields every firing of the slot that is still to be planned, this one among them: what limits count.
    """

    rule: Rule
    slot: str
    bucket: Bucket
    nominal: datetime
    today: date
    trigger: str
    targets: tuple[Target, ...]
    run: Callable[[], Iterable["Firing"]] | None = None


def plan_firing(database: Database, active: Active, firing: Firing, *, now: datetime) -> Counts:
    """Plan everything that is left of a firing. Harmless when it is planned already."""
    total, rule = Counts(), firing.rule
    ahead = _survey(database, active, firing, now=now) if limits.uncounted(database, rule, firing.slot) else None
    who = _who(rule, firing, now, database.engine.dialect.name)
    for number, target in enumerate(firing.targets):
        last, memory, again = number == len(firing.targets) - 1, Memory(), False
        while True:
            with uncollected():
                planned = _plan_range(
                    database,
                    active,
                    firing,
                    target,
                    who=who,
                    last=last,
                    now=now,
                    ahead=ahead,
                    memory=memory,
                    again=again,
                )
            if planned is None:
                break
            again = planned.counts.already > 0
            total.add(planned.counts)
            if planned.stopped:
                rest = _survey(database, active, firing, now=now)
                with database.write() as connection:
                    runs.lock(connection, rule_lock(rule))
                    limits.recount(connection, active, rule, firing.slot, rest)
    return total


def _survey(database: Database, active: Active, firing: Firing, *, now: datetime) -> Counted:
    """What is left of a run over all its zones, judged and not written, a key range in memory at a time."""
    counts = Counts()
    for one in firing.run() if firing.run else (firing,):
        who = _who(one.rule, one, now, database.engine.dialect.name)
        for target in one.targets:
            after, looked_at, memory = "", None, Memory()
            while looked_at is None or len(looked_at) == RANGE:
                with database.read() as connection:
                    looked_at = _look(connection, one, target, who, after=after)
                    matched = _matched(looked_at, target)
                    counts.add(limits.rehearse(connection, active, one.rule, matched, now=now, memory=memory))
                after = looked_at[-1][0] if looked_at else after
    return limits.counted_of(counts)


@dataclass(frozen=True, slots=True)
class _Planned:
    """One committed key range. ``stopped``: with it the run passed a limit."""

    counts: Counts
    stopped: bool = False


def _plan_range(
    database: Database,
    active: Active,
    firing: Firing,
    target: Target,
    *,
    who: Sequence[sa.ColumnElement[bool]],
    last: bool,
    now: datetime,
    ahead: Counted | None,
    memory: Memory,
    again: bool,
) -> _Planned | None:
    """One key range in one transaction. None when the target has none left.

    ``again``: many were decided before, as the range before this one showed. Then that is asked before ``who``,
    which they need not be asked about.
    """
    rule, zone = firing.rule, firing.bucket.key
    progress_key = f"{zone} {target.label}".rstrip()
    with database.write() as connection:
        runs.lock(connection, rule_lock(rule))
        if runs.has_fired(connection, rule=rule.id, slot=firing.slot, zone=zone):
            return None
        begun = runs.find_run(connection, rule=rule.id, slot=firing.slot)
        number, after = runs.progress(connection, begun, progress_key) if begun else (0, "")
        looked_at = _look(connection, firing, target, who, after=after, again=again)
        counts, stopped = Counts(), False
        if looked_at:
            run_id = begun or runs.open_run(
                connection,
                rule=rule.id,
                slot=firing.slot,
                release=active.id,
                rule_version=rule.version,
                trigger=firing.trigger,
                now=now,
            )
            limited = limits.begin(connection, active, rule, run_id, ahead)
            matched = _matched(looked_at, target)
            counts = enqueue(connection, active, rule, matched, run_id=run_id, now=now, limited=limited, memory=memory)
            misses = [one for one in looked_at if one[1] not in _NO_MISS]
            counts.already += sum(one[1] == audience.DECIDED for one in looked_at) if again else 0
            misses += [(customer, runs.NOT_COVERED) for customer in counts.outside]
            stopped = limits.watch(connection, active, rule, run_id)
            counts.limited = limits.waits(connection, run_id) if limited or stopped else {}
            runs.record_range(
                connection,
                run_id=run_id,
                zone=progress_key,
                number=number,
                upto=looked_at[-1][0],
                misses=misses,
                now=now,
            )
        finished = len(looked_at) < RANGE
        if finished and last:
            runs.fire(connection, rule=rule.id, slot=firing.slot, zone=zone, nominal=firing.nominal, now=now)
    return None if finished and not looked_at else _Planned(counts, stopped)


def _look(
    connection: Connection,
    firing: Firing,
    target: Target,
    who: Sequence[sa.ColumnElement[bool]],
    *,
    after: str,
    again: bool = False,
) -> list[tuple[str, int]]:
    """The next key range of a target: who is in it, and who of them matches."""
    rule = firing.rule
    decided = None
    if again and is_shared(rule.once):
        decided = decisions.was_decided(rule.id, once_key(rule.once, target.occurrence, Customer(id="")))
    return audience.key_range(
        connection,
        members=firing.bucket.members,
        match=target.match,
        who=who,
        after=after,
        size=RANGE,
        decided=decided,
    )


def _matched(looked_at: Iterable[tuple[str, int]], target: Target) -> list[Prospect]:
    occurrence = target.occurrence
    return [Prospect(customer, occurrence) for customer, miss in looked_at if miss == audience.MATCHED]


def _who(rule: Rule, firing: Firing, now: datetime, dialect: str) -> list[sa.ColumnElement[bool]]:
    """The lines of ``who`` as SQL, made once for all key ranges of a firing."""
    at = max(now, firing.nominal)
    return [
        clause_sql(clause, now=at, today=firing.today, zone=firing.bucket.zone, dialect=dialect) for clause in rule.who
    ]


def rule_lock(rule: Rule) -> str:
    """The name of the lock under which a rule is planned."""
    return f"plan:{rule.id}"
