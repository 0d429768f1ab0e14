"""Date rules: on each local day, the customers whose date attribute lies the rule's offset away."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from outbound.domain.rule import DateTrigger, Rule
from outbound.engine.timing.date_triggers import DateTarget, date_targets
from outbound.engine.timing.walls import add, resolve_wall, step, wall
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.compiled import compiled, live_at
from outbound.services.planning.firing import Firing, Target, plan_firing
from outbound.services.planning.occurrence import Occurrence, template_of
from outbound.services.planning.schedules import DEFAULT_CATCH_UP
from outbound.services.planning.window import Pass
from outbound.services.releases import Active
from outbound.storage import audience


def plan_dates(work: Pass) -> None:
    """Plan every day of every date rule that is due by the end of the pass."""
    for rule, trigger in compiled(work.active).dates:
        for bucket in work.buckets.of(trigger.zone, trigger.calendar):
            with work.isolated():
                for day, instant in days_between(trigger, bucket.zone, after=work.after, until=work.until):
                    due = live_at(work.active, rule, instant, bucket.zone)
                    if due and not work.has_fired(rule.id, day.isoformat(), bucket.key):
                        _plan_day(work, (rule, trigger), bucket, day, instant)


def _plan_day(work: Pass, dated: tuple[Rule, DateTrigger], bucket: Bucket, day: date, instant: datetime) -> None:
    rule, trigger = dated
    targets = _targets(work.active, rule.id, day, bucket.country)
    if not targets:
        return
    catch_up = rule.catch_up or DEFAULT_CATCH_UP
    if instant < work.now:
        if add(instant, catch_up, bucket.zone) < work.now:
            work.miss(rule.id, day.isoformat(), bucket.key, instant, f"missed; older than {catch_up}")
            return
        targets = tuple(t for t in targets if not _overtaken(trigger, t, bucket.zone, work.now))
        if not targets:
            work.miss(rule.id, day.isoformat(), bucket.key, instant, "missed; the next offset is due")
            return
    firing = Firing(
        rule=rule,
        slot=day.isoformat(),
        bucket=bucket,
        nominal=instant,
        today=day,
        trigger="date",
        targets=tuple(_target(rule, trigger, bucket, t, instant) for t in targets),
    )
    work.fired(plan_firing(work.database, work.active, firing, now=work.now))


def days_between(
    trigger: DateTrigger, zone: ZoneInfo, *, after: datetime, until: datetime
) -> Iterator[tuple[date, datetime]]:
    """The local days whose ``at`` lies in ``after`` < instant <= ``until``, with that instant."""
    day = wall(after, zone).date() - timedelta(days=1)
    last = wall(until, zone).date() + timedelta(days=1)
    while day <= last:
        instant = resolve_wall(datetime.combine(day, trigger.at), zone)
        if after < instant <= until:
            yield day, instant
        day += timedelta(days=1)


def _overtaken(trigger: DateTrigger, target: DateTarget, zone: ZoneInfo, now: datetime) -> bool:
    """Whether a later offset from the same date is due already: catching up never goes past it."""
    firing = step(target.day, target.offset)
    later = (step(target.day, offset) for offset in trigger.offsets)
    return any(day > firing and resolve_wall(datetime.combine(day, trigger.at), zone) <= now for day in later)


def _target(rule: Rule, trigger: DateTrigger, bucket: Bucket, target: DateTarget, instant: datetime) -> Target:
    placeholders = {
        "date": target.day.isoformat(),
        "offset": str(target.offset),
        "year": str(target.day.year),
        "period": target.day.isoformat(),
    }
    occurrence = Occurrence(
        placeholders=placeholders,
        values={"occurrence": placeholders},
        template=template_of(rule, str(target.offset)),
        due=instant,
        expires=add(instant, rule.expires, bucket.zone),
        zone=bucket.zone,
    )
    return Target(label=f"{target.offset} {target.day}", match=_match(trigger, target), occurrence=occurrence)


def _match(trigger: DateTrigger, target: DateTarget) -> sa.ColumnElement[bool]:
    attribute = trigger.attribute.removeprefix("customer.")
    if target.month_days:
        return audience.attribute_anniversary(attribute, target.month_days, target.day.isoformat())
    return audience.attribute_equals(attribute, target.day.isoformat())


@lru_cache(maxsize=8192)
def _targets(active: Active, rule_id: str, day: date, country: str | None) -> tuple[DateTarget, ...]:
    trigger = active.ruleset.rules[rule_id].trigger
    if not isinstance(trigger, DateTrigger):
        return ()
    return tuple(date_targets(trigger, local_day=day, policy=active.ruleset.policy, country=country))
