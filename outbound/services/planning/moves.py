"""Customers whose zone changes: what waits for them moves to the new wall clock, and no slot passes them by.

A message of a rule on the customer's own clock gets the new zone's time, never earlier than now. A slot that has
fired in the new zone and not yet in the old one would reach them in neither: it is planned for them here. ``once``
sees to it that nobody gets it twice. The mark on the customer is taken away when all that is done, so a pass that
was killed begins again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from outbound.domain.durations import Duration
from outbound.domain.rule import DateTrigger, Rule, ScheduleTrigger
from outbound.engine.timing.walls import add, resolve_wall
from outbound.engine.timing.zones import resolve_zones, zone_named
from outbound.services.planning import dates, schedules
from outbound.services.planning.agenda import days_of, slots_of
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.compiled import compiled
from outbound.services.planning.firing import Firing, plan_firing
from outbound.services.planning.window import Pass
from outbound.storage import moves, tables
from outbound.storage.moves import Mover, Retimed, Waiting
from outbound.storage.sets import among

PIECE = 2_000
"""Movers looked at together."""


def follows_customer(rule: Rule | None) -> bool:
    """Whether the rule fires by each customer's own clock (``tz: customer``)."""
    return rule is not None and isinstance(rule.trigger, ScheduleTrigger | DateTrigger) and rule.trigger.zone is None


def plan_moves(work: Pass) -> None:
    """Look at everybody who moved since the last pass."""
    after = ""
    while work.moved:
        with work.database.read() as connection:
            movers = moves.movers(connection, after=after, limit=PIECE)
        if not movers:
            return
        _retime(work, movers)
        routes: dict[tuple[str, str], list[Mover]] = {}
        for mover in movers:
            routes.setdefault((mover.before, mover.source), []).append(mover)
        for (before, source), travellers in sorted(routes.items()):
            for firing in _passed_by(work, before, source):
                plan_firing(work.database, work.active, _only(work, firing, travellers), now=work.now)
        with work.database.write() as connection:
            moves.settled(connection, movers)
        after = movers[-1].id


def _retime(work: Pass, movers: Sequence[Mover]) -> None:
    """What waits for them leaves at the same wall-clock time in the new zone."""
    policy, rules = work.active.ruleset.policy, work.active.ruleset.rules
    zones = {mover.id: resolve_zones(mover.source, policy).at.key for mover in movers}
    with work.database.write() as connection:
        found = moves.waiting(connection, list(zones))
        changes = [
            _at(one, zones[one.customer_id], work.now)
            for one in found
            if one.zone != zones[one.customer_id] and follows_customer(rules.get(one.rule))
        ]
        moves.retime(connection, changes, now=work.now)


def _at(one: Waiting, zone: str, now: datetime) -> Retimed:
    """Later by some hours, it may also wait longer; earlier, it leaves now at the earliest."""
    local = datetime.fromisoformat(one.local_time).replace(tzinfo=None)
    before, instant = resolve_wall(local, zone_named(one.zone)), resolve_wall(local, zone_named(zone))
    longer = max(instant - before, timedelta())
    return Retimed(id=one.id, zone=zone, not_before=max(instant, now), expires=one.expires + longer)


def _passed_by(work: Pass, before: str, source: str) -> Iterator[Firing]:
    """The firings of the new zone that these movers missed, and whose turn in the old zone has not come."""
    policy = work.active.ruleset.policy
    old = resolve_zones(before, policy).at.key
    for rule, trigger in compiled(work.active).schedules:
        for bucket in _buckets(work, trigger, source):
            for slot in slots_of(
                work.active, (rule, trigger), bucket, after=_since(work, rule, bucket), until=work.until
            ):
                name = schedules.slot_name(rule, slot)
                if _missed(work, rule, name, bucket, old):
                    yield schedules.firing_of(rule, bucket, slot)
    for rule, dated in compiled(work.active).dates:
        for bucket in _buckets(work, dated, source):
            for instant, day in days_of(
                work.active, (rule, dated), bucket, after=_since(work, rule, bucket), until=work.until
            ):
                if _missed(work, rule, day.isoformat(), bucket, old):
                    targets = dates.targets_left(work, (rule, dated), bucket, day, instant)
                    if targets:
                        yield dates.firing_of((rule, dated), bucket, day, instant, targets)


def _buckets(work: Pass, trigger: ScheduleTrigger | DateTrigger, source: str) -> Iterator[Bucket]:
    """The groups that people of this source are in; none for a rule on a clock of its own."""
    if trigger.zone is None:
        for bucket in work.buckets.of(None, trigger.calendar):
            if bucket.members.sources is None or source in bucket.members.sources:
                yield bucket


def _since(work: Pass, rule: Rule, bucket: Bucket) -> datetime:
    catch_up = rule.catch_up or schedules.DEFAULT_CATCH_UP
    return add(work.now, Duration(-catch_up.amount, catch_up.unit), bucket.zone)


def _missed(work: Pass, rule: Rule, slot: str, bucket: Bucket, old: str) -> bool:
    """Whether the slot ran in the new zone, or is being planned, and not in the old one."""
    before = f"{old} {bucket.country or '-'}" if " " in bucket.key else old
    if before == bucket.key or work.has_fired(rule.id, slot, before):
        return False
    with work.database.read() as connection:
        return moves.ran(connection, rule=rule.id, slot=slot, zone=bucket.key)


def _only(work: Pass, firing: Firing, movers: Sequence[Mover]) -> Firing:
    """The firing for these customers alone, under a name of its own."""
    with work.database.read() as connection:
        chosen = among(connection, tables.customer.c.id, [mover.id for mover in movers])
    name = f"{firing.bucket.key} moved {movers[0].id} {work.now.isoformat()}"
    targets = tuple(
        replace(target, match=chosen if target.match is None else sa.and_(chosen, target.match))
        for target in firing.targets
    )
    return replace(firing, bucket=replace(firing.bucket, key=name), targets=targets)
