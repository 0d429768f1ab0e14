"""What the calendar holds: the slots of schedules and the days of date rules, worked out once for each UTC day.

A pass looks at half an hour, and there is one each second, so it must not walk over every rule and zone. A page
holds everything due in one UTC day, for a release and the zones customers are in; a pass takes from it what lies in
its stretch. Another release, or a customer in a zone nobody was in, makes another page.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from outbound.domain.rule import DateTrigger, Rule, ScheduleTrigger
from outbound.engine.timing.date_triggers import DateTarget, date_targets
from outbound.engine.timing.recurrence import Slot, slots_between
from outbound.engine.timing.walls import resolve_wall, wall
from outbound.services.planning.buckets import Bucket, Buckets
from outbound.services.planning.compiled import compiled, live_at
from outbound.services.releases import Active

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_PAGES_AT_MOST = 2 * _DAY

T = TypeVar("T", ScheduleTrigger, DateTrigger)
D = TypeVar("D", Slot, date)
Groups = tuple[tuple[tuple[str | None, str | None], tuple[Bucket, ...]], ...]


@dataclass(frozen=True, slots=True)
class Due(Generic[T, D]):
    """What is due of one rule in one bucket, in order: slots or local days, each with its instant."""

    rule: Rule
    trigger: T
    bucket: Bucket
    times: Sequence[tuple[datetime, D]]


def due_slots(
    active: Active, buckets: Buckets, *, after: datetime, until: datetime
) -> list[Due[ScheduleTrigger, Slot]]:
    """Every slot of a schedule with ``after`` < instant <= ``until`` at which its rule is live, by rule and bucket."""
    if not compiled(active).schedules:
        return []
    groups = _groups(active, buckets)
    if until - after > _PAGES_AT_MOST:
        return list(_slots(active, groups, after, until))
    return _taken([_slot_page(active, groups, day) for day in _days(after, until)], after, until)


def due_days(active: Active, buckets: Buckets, *, after: datetime, until: datetime) -> list[Due[DateTrigger, date]]:
    """Every local day of a date rule with ``after`` < instant of its ``at`` <= ``until``, unless nobody can be due."""
    if not compiled(active).dates:
        return []
    groups = _groups(active, buckets)
    if until - after > _PAGES_AT_MOST:
        return list(_local_days(active, groups, after, until))
    return _taken([_day_page(active, groups, day) for day in _days(after, until)], after, until)


def slots_of(
    active: Active, scheduled: tuple[Rule, ScheduleTrigger], bucket: Bucket, *, after: datetime, until: datetime
) -> list[Slot]:
    """The slots of one schedule in one bucket with ``after`` < instant <= ``until`` at which its rule is live."""
    rule, trigger = scheduled
    policy = active.ruleset.policy
    slots = slots_between(trigger, zone=bucket.zone, after=after, until=until, policy=policy, country=bucket.country)
    return [slot for slot in slots if live_at(active, rule, slot.instant, bucket.zone)]


def days_of(
    active: Active, dated: tuple[Rule, DateTrigger], bucket: Bucket, *, after: datetime, until: datetime
) -> list[tuple[datetime, date]]:
    """The same for a date rule: the local days on which anybody can be due, each with its instant first."""
    rule, trigger = dated
    return [
        (instant, day)
        for day, instant in _days_between(trigger.at, bucket.zone, after, until)
        if targets_of(active, rule.id, day, bucket.country) and live_at(active, rule, instant, bucket.zone)
    ]


@lru_cache(maxsize=8192)
def targets_of(active: Active, rule_id: str, day: date, country: str | None) -> tuple[DateTarget, ...]:
    """Who is due by a date rule on a local day (``engine.timing.date_targets``)."""
    trigger = active.ruleset.rules[rule_id].trigger
    if not isinstance(trigger, DateTrigger):
        return ()
    return tuple(date_targets(trigger, local_day=day, policy=active.ruleset.policy, country=country))


@dataclass(frozen=True, slots=True)
class _Page(Generic[T, D]):
    """One day: the instants in order, and beside each the place of its ``Due`` and of the time within it."""

    dues: Sequence[Due[T, D]]
    instants: Sequence[datetime]
    places: Sequence[tuple[int, int]]


def _page(dues: Sequence[Due[T, D]]) -> _Page[T, D]:
    entries = sorted(
        (instant, number, place) for number, due in enumerate(dues) for place, (instant, _) in enumerate(due.times)
    )
    return _Page(dues, [entry[0] for entry in entries], [entry[1:] for entry in entries])


@lru_cache(maxsize=8)
def _slot_page(active: Active, groups: Groups, day: datetime) -> _Page[ScheduleTrigger, Slot]:
    return _page(list(_slots(active, groups, day - _INSTANT, day + _DAY - _INSTANT)))


@lru_cache(maxsize=8)
def _day_page(active: Active, groups: Groups, day: datetime) -> _Page[DateTrigger, date]:
    return _page(list(_local_days(active, groups, day - _INSTANT, day + _DAY - _INSTANT)))


def _taken(pages: Iterable[_Page[T, D]], after: datetime, until: datetime) -> list[Due[T, D]]:
    """The part of some pages that lies in a stretch, joined by rule and bucket, in the order of the rules."""
    found: dict[tuple[str, str], list[tuple[datetime, D]]] = {}
    sources: dict[tuple[str, str], tuple[int, Due[T, D]]] = {}
    for page in pages:
        for number, place in sorted(
            page.places[bisect_right(page.instants, after) : bisect_right(page.instants, until)]
        ):
            due = page.dues[number]
            key = (due.rule.id, due.bucket.key)
            sources.setdefault(key, (number, due))
            found.setdefault(key, []).append(due.times[place])
    return [Due(due.rule, due.trigger, due.bucket, found[key]) for key, (_, due) in sources.items()]


def _groups(active: Active, buckets: Buckets) -> Groups:
    """The buckets of each kind of trigger: what a page is made for."""
    return tuple((kind, buckets.of(*kind)) for kind in compiled(active).kinds)


def _days(after: datetime, until: datetime) -> Iterator[datetime]:
    day = (after + _INSTANT).replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= until:
        yield day
        day += _DAY


def _slots(active: Active, groups: Groups, after: datetime, until: datetime) -> Iterator[Due[ScheduleTrigger, Slot]]:
    by_kind = dict(groups)
    for rule, trigger in compiled(active).schedules:
        for bucket in by_kind[trigger.zone, trigger.calendar]:
            slots = slots_of(active, (rule, trigger), bucket, after=after, until=until)
            times = [(slot.instant, slot) for slot in slots]
            if times:
                yield Due(rule, trigger, bucket, times)


def _local_days(active: Active, groups: Groups, after: datetime, until: datetime) -> Iterator[Due[DateTrigger, date]]:
    by_kind = dict(groups)
    for rule, trigger in compiled(active).dates:
        for bucket in by_kind[trigger.zone, trigger.calendar]:
            times = days_of(active, (rule, trigger), bucket, after=after, until=until)
            if times:
                yield Due(rule, trigger, bucket, times)


def _days_between(at: time, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[tuple[date, datetime]]:
    """The local days whose ``at`` lies in ``after`` < instant <= ``until``, with that instant."""
    day, last = wall(after, zone).date() - _DAY, wall(until, zone).date() + _DAY
    while day <= last:
        instant = resolve_wall(datetime.combine(day, at), zone)
        if after < instant <= until:
            yield day, instant
        day += _DAY
