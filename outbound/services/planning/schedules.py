"""Schedule rules: the slots of each zone that come up, and what happens to those that were missed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.rule import Rule, ScheduleTrigger
from outbound.engine.timing.recurrence import Slot, slots_between
from outbound.engine.timing.walls import add
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.compiled import compiled, live_at
from outbound.services.planning.firing import Firing, Target, plan_firing
from outbound.services.planning.occurrence import Occurrence, template_of
from outbound.services.planning.window import Pass
from outbound.services.releases import Active

DEFAULT_CATCH_UP = Duration(24, DurationUnit.HOUR)
"""How late a slot may still run where a rule does not say; the loader writes the same default into rules."""

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


def plan_schedules(work: Pass) -> None:
    """Plan every slot of every schedule rule that is due by the end of the pass."""
    for rule, trigger in compiled(work.active).schedules:
        for bucket in work.buckets.of(trigger.zone, trigger.calendar):
            with work.isolated():
                _plan_bucket(work, rule, trigger, bucket)


def _plan_bucket(work: Pass, rule: Rule, trigger: ScheduleTrigger, bucket: Bucket) -> None:
    slots = [
        slot
        for slot in slots_of(work.active, rule, trigger, bucket, after=work.after, until=work.until)
        if live_at(work.active, rule, slot.instant, bucket.zone)
        and not work.has_fired(rule.id, slot_name(rule, slot), bucket.key)
    ]
    overdue = [slot for slot in slots if slot.instant < work.now]
    upcoming = [slot for slot in slots if slot.instant >= work.now]
    if overdue:
        newest = overdue[-1]
        catch_up = rule.catch_up or DEFAULT_CATCH_UP
        runs_late = add(newest.instant, catch_up, bucket.zone) >= work.now
        for slot in overdue[:-1]:
            note = f"missed; {slot_name(rule, newest)} runs instead" if runs_late else f"missed; older than {catch_up}"
            work.miss(rule.id, slot_name(rule, slot), bucket.key, slot.instant, note)
        if runs_late:
            upcoming.insert(0, newest)
        else:
            note = f"missed; older than {catch_up}"
            work.miss(rule.id, slot_name(rule, newest), bucket.key, newest.instant, note)
    for slot in upcoming:
        work.fired(plan_firing(work.database, work.active, _firing(rule, bucket, slot), now=work.now))


def _firing(rule: Rule, bucket: Bucket, slot: Slot) -> Firing:
    placeholders = {"period": slot.key, "date": slot.day.isoformat(), "year": str(slot.day.year)}
    occurrence = Occurrence(
        placeholders=placeholders,
        values={"occurrence": placeholders},
        template=template_of(rule),
        due=slot.instant,
        expires=add(slot.instant, rule.expires, bucket.zone),
        zone=bucket.zone,
    )
    return Firing(
        rule=rule,
        slot=slot_name(rule, slot),
        bucket=bucket,
        nominal=slot.instant,
        today=slot.local.date(),
        trigger="schedule",
        targets=(Target(label="", match=None, occurrence=occurrence),),
    )


def slot_name(rule: Rule, slot: Slot) -> str:
    """The name of a slot: its period, or its day where the rule's ``once`` tells days apart."""
    return slot.day.isoformat() if any(name == "date" for _, name in rule.once.parts) else slot.key


def slots_of(
    active: Active, rule: Rule, trigger: ScheduleTrigger, bucket: Bucket, *, after: datetime, until: datetime
) -> Sequence[Slot]:
    """The slots with ``after`` < instant <= ``until``. A tick asks for the same days again and again: they are kept."""
    if until - after > 2 * _DAY:
        return slots_between(
            trigger, zone=bucket.zone, after=after, until=until, policy=active.ruleset.policy, country=bucket.country
        )
    start = after.replace(hour=0, minute=0, second=0, microsecond=0)
    days = _slots_near(active, rule.id, bucket.zone, bucket.country, start)
    return [slot for slot in days if after < slot.instant <= until]


@lru_cache(maxsize=8192)
def _slots_near(active: Active, rule_id: str, zone: ZoneInfo, country: str | None, start: datetime) -> tuple[Slot, ...]:
    trigger = active.ruleset.rules[rule_id].trigger
    if not isinstance(trigger, ScheduleTrigger):
        return ()
    return tuple(
        slots_between(
            trigger,
            zone=zone,
            after=start - _INSTANT,
            until=start + 4 * _DAY,
            policy=active.ruleset.policy,
            country=country,
        )
    )
