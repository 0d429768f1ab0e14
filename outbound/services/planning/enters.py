"""Rules that fire when somebody enters a segment: who came in since it was last looked at.

``storage.memberships`` remembers who is in. After events and changes that a segment looks at, only the customers
concerned are asked about, in the transaction that marks those as seen. Time moves people too, so every full hour
everybody is asked about, set by set; only those who moved come here by name. The new membership, the decisions
and the messages of a piece are one transaction: killed anywhere, an entry has happened with everything, or not yet.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause
from outbound.domain.rule import Rule
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import resolve_zones
from outbound.services.planning.compiled import Doorway, compiled, live_at
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.firing import rule_lock
from outbound.services.planning.occurrence import Occurrence, Prospect, template_of
from outbound.services.planning.window import Pass
from outbound.storage import audience, changes, locks, memberships, runs
from outbound.storage.conditions import clause_sql

_SWEPT: Final = "swept"
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody came in for the ``number``-th time."""

    customer_id: str
    number: int
    zone: ZoneInfo


def plan_enters(work: Pass) -> None:
    """Ask about everybody, once in every hour and when an import made new customers."""
    doorways = compiled(work.active).doorways
    if not doorways:
        return
    hour = full_hour(work.now).isoformat()
    with work.database.read() as connection:
        asked = changes.sweep_asked(connection)
        if not sweep_due(connection, work.now):
            return
    for door in doorways.values():
        _sweep(work, door)
    with work.database.write() as connection:
        runs.write_fact(connection, _SWEPT, hour)
        if asked is not None:
            changes.sweep_done(connection, asked)


def sweep_due(connection: Connection, now: datetime) -> bool:
    """Whether nobody has asked about everybody in this hour yet, or somebody wants it done again."""
    return (
        runs.read_fact(connection, _SWEPT) != full_hour(now).isoformat() or changes.sweep_asked(connection) is not None
    )


def skip_sweep(connection: Connection, now: datetime) -> None:
    """Do as if everybody had been asked about in this hour: who looks far ahead need not ask that often."""
    runs.write_fact(connection, _SWEPT, full_hour(now).isoformat())


def full_hour(now: datetime) -> datetime:
    """The full hour ``now`` (UTC) lies in: segments are looked at once in each."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def next_sweep(now: datetime) -> datetime:
    """When everybody is asked about again."""
    return full_hour(now) + _HOUR


def _sweep(work: Pass, door: Doorway) -> None:
    _forget_refusers(work, door)
    for bucket in work.buckets.of(None, None):
        with work.database.read() as reading:
            inside = _sql(reading, door.clauses, work.now, bucket.zone)
            moving = memberships.moving(reading, door.segment, bucket.members, inside, topics=door.refusable)
            with closing(moving) as pieces:
                for ids in pieces:
                    with work.database.write() as connection:
                        hold(connection, [door])
                        settle(connection, work, door, ids)


def _forget_refusers(work: Pass, door: Doorway) -> None:
    """Keep nothing about who has refused all that the segment is watched for (C37)."""
    with work.database.read() as reading:
        if not memberships.refusers(reading, door.segment, door.refusable):
            return
    with work.database.write() as connection:
        hold(connection, [door])
        gone = memberships.refusers(connection, door.segment, door.refusable)
        locks.customers(connection, gone)
        memberships.forget(connection, door.segment, gone)


def hold(connection: Connection, doors: Iterable[Doorway]) -> None:
    """Take the locks that ``settle`` needs: call it before any customer is locked (``storage.locks``)."""
    runs.lock(connection, memberships.LOCK)
    rules = {rule.id: rule for door in doors for rule in door.rules}
    for rule_id in sorted(rules):
        runs.lock(connection, rule_lock(rules[rule_id]))


def settle(connection: Connection, work: Pass, door: Doorway, ids: Sequence[str]) -> None:
    """Look at these customers now: note who came in or went out, and fire the rules for those who came in.

    The caller holds the locks of ``hold``.
    """
    locks.customers(connection, ids)
    entries: list[Entry] = []
    for zone, some in _by_zone(connection, work, ids):
        inside = _sql(connection, door.clauses, work.now, zone)
        moves = memberships.moved(connection, door.segment, some, inside, topics=door.refusable)
        out = [move.customer_id for move in moves if not move.entered]
        into = [move for move in moves if move.entered]
        if out:
            memberships.leave(connection, door.segment, out, now=work.now)
        if into:
            memberships.enter(connection, door.segment, [move.customer_id for move in into], now=work.now)
        entries += [Entry(move.customer_id, move.entries + 1, zone) for move in into]
    if entries:
        slot = work.now.astimezone(UTC).date().isoformat()
        for rule in door.rules:
            fire(connection, work, rule, entries, slot=slot, at=work.now, progress="enters")


def settle_after(
    connection: Connection, work: Pass, touched: Iterable[tuple[str, str]], *, events: bool = False
) -> None:
    """Settle every segment that looks at what was touched: (customer, name of an attribute or event) pairs."""
    pairs = list(touched)
    for door in compiled(work.active).doorways.values():
        names = door.events if events else door.attributes
        ids = sorted({customer for customer, name in pairs if name in names})
        if ids:
            settle(connection, work, door, ids)


def fire(
    connection: Connection,
    work: Pass,
    rule: Rule,
    entries: Sequence[Entry],
    *,
    slot: str,
    at: datetime,
    progress: str,
) -> None:
    """Fire one rule for those who came in at ``at``, as far as it lives there and ``who`` is true."""
    zones: dict[ZoneInfo, dict[str, int]] = {}
    for entry in entries:
        if live_at(work.active, rule, at, entry.zone):
            zones.setdefault(entry.zone, {})[entry.customer_id] = entry.number
    prospects: list[Prospect] = []
    misses: list[tuple[str, int]] = []
    for zone, numbers in zones.items():
        who = _sql(connection, rule.who, work.now, zone)
        found = audience.among_these(connection, sorted(numbers), who)
        occurrences = {n: entry_occurrence(rule, n, zone, at, work.now) for n in set(numbers.values())}
        for customer_id, miss in sorted(found.items()):
            if miss == audience.MATCHED:
                prospects.append(Prospect(customer_id=customer_id, occurrence=occurrences[numbers[customer_id]]))
            else:
                misses.append((customer_id, miss))
    if not prospects and not misses:
        return
    runs.lock(connection, rule_lock(rule))
    run_id = runs.open_run(
        connection,
        rule=rule.id,
        slot=slot,
        release=work.active.id,
        rule_version=rule.version,
        trigger="enters",
        now=work.now,
    )
    counts = enqueue(connection, work.active, rule, prospects, run_id=run_id, now=work.now)
    misses += [(customer_id, runs.NOT_COVERED) for customer_id in counts.outside]
    work.counts.add(counts)
    if misses:
        number, _ = runs.progress(connection, run_id, progress)
        upto = max(entry.customer_id for entry in entries)
        runs.record_range(
            connection, run_id=run_id, zone=progress, number=number, upto=upto, misses=misses, now=work.now
        )


def entry_values(number: int, at: datetime, zone: ZoneInfo) -> Mapping[str, Mapping[str, Any]]:
    """What a template may read of an entry; its date is that of the customer's zone."""
    return {"entry": {"number": number, "date": local_day(at, zone).isoformat()}}


def entry_occurrence(rule: Rule, number: int, zone: ZoneInfo, at: datetime, now: datetime) -> Occurrence:
    """The occurrence the ``number``-th entry makes. It expires counted from ``at``."""
    day = local_day(at, zone).isoformat()
    return Occurrence(
        placeholders={"entry.number": str(number), "entry.date": day},
        values=entry_values(number, at, zone),
        template=template_of(rule),
        due=now,
        expires=add(at, rule.expires, zone),
        zone=zone,
    )


def _by_zone(connection: Connection, work: Pass, ids: Sequence[str]) -> list[tuple[ZoneInfo, list[str]]]:
    grouped: dict[str, tuple[ZoneInfo, list[str]]] = {}
    for customer_id, source in audience.sources_of(connection, ids).items():
        zone = resolve_zones(source, work.active.ruleset.policy).at
        grouped.setdefault(zone.key, (zone, []))[1].append(customer_id)
    return [grouped[key] for key in sorted(grouped)]


def _sql(
    connection: Connection, clauses: Iterable[Clause], now: datetime, zone: ZoneInfo
) -> list[sa.ColumnElement[bool]]:
    today = local_day(now, zone)
    return [clause_sql(c, now=now, today=today, zone=zone, dialect=connection.dialect.name) for c in clauses]
