"""Date rules: on each local day, the customers whose date attribute lies the rule's offset away."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from outbound.domain.rule import DateTrigger, Rule
from outbound.engine.timing.date_triggers import DateTarget
from outbound.engine.timing.walls import add, resolve_wall, step
from outbound.services.planning.agenda import due_days, targets_of
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.compiled import live_at
from outbound.services.planning.firing import Firing, Target, plan_firing
from outbound.services.planning.occurrence import Occurrence, template_of
from outbound.services.planning.schedules import DEFAULT_CATCH_UP
from outbound.services.planning.window import Pass
from outbound.storage import audience


def plan_dates(work: Pass) -> None:
    """Plan every day of every date rule that is due by the end of the pass."""
    for due in due_days(work.active, work.buckets, after=work.after, until=work.until):
        with work.isolated():
            for instant, day in due.times:
                if not work.has_fired(due.rule.id, day.isoformat(), due.bucket.key):
                    _plan_day(work, (due.rule, due.trigger), due.bucket, day, instant)


def _plan_day(work: Pass, dated: tuple[Rule, DateTrigger], bucket: Bucket, day: date, instant: datetime) -> None:
    rule = dated[0]
    targets = targets_of(work.active, rule.id, day, bucket.country)
    catch_up = rule.catch_up or DEFAULT_CATCH_UP
    if instant < work.now:
        if add(instant, catch_up, bucket.zone) < work.now:
            work.miss(rule.id, day.isoformat(), bucket.key, instant, f"missed; older than {catch_up}")
            return
        targets = targets_left(work, dated, bucket, day, instant)
        if not targets:
            work.miss(rule.id, day.isoformat(), bucket.key, instant, "missed; the next offset is due")
            return
    firing = firing_of(dated, bucket, day, instant, targets)
    firing = replace(firing, run=partial(_whole_run, work, dated, day))
    work.fired(plan_firing(work.database, work.active, firing, now=work.now))


def firing_of(
    dated: tuple[Rule, DateTrigger], bucket: Bucket, day: date, instant: datetime, targets: Iterable[DateTarget]
) -> Firing:
    """What is planned of a local day in one bucket."""
    rule, trigger = dated
    return Firing(
        rule=rule,
        slot=day.isoformat(),
        bucket=bucket,
        nominal=instant,
        today=day,
        trigger="date",
        targets=tuple(_target(rule, trigger, bucket, t, instant) for t in targets),
    )


def _whole_run(work: Pass, dated: tuple[Rule, DateTrigger], day: date) -> Iterator[Firing]:
    """The firings of a day that are still to come, in every zone: what limits count before the first message."""
    rule, trigger = dated
    for bucket in work.buckets.of(trigger.zone, trigger.calendar):
        instant = resolve_wall(datetime.combine(day, trigger.at), bucket.zone)
        if not live_at(work.active, rule, instant, bucket.zone) or work.has_fired(rule.id, day.isoformat(), bucket.key):
            continue
        targets = targets_of(work.active, rule.id, day, bucket.country)
        if instant < work.now:
            if add(instant, rule.catch_up or DEFAULT_CATCH_UP, bucket.zone) < work.now:
                continue
            targets = targets_left(work, dated, bucket, day, instant)
        if targets:
            yield firing_of(dated, bucket, day, instant, targets)


def targets_left(
    work: Pass, dated: tuple[Rule, DateTrigger], bucket: Bucket, day: date, instant: datetime
) -> tuple[DateTarget, ...]:
    """Who is due on a day: on a late one without those whose next offset is due already."""
    rule, trigger = dated
    targets = targets_of(work.active, rule.id, day, bucket.country)
    if instant >= work.now:
        return targets
    return tuple(t for t in targets if not _overtaken(trigger, t, bucket.zone, work.now))


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
