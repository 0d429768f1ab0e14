"""Schedule rules: the slots of each zone that come up, and what happens to those that were missed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.rule import Rule, ScheduleTrigger
from outbound.engine.timing.recurrence import Slot
from outbound.engine.timing.walls import add
from outbound.services.planning.agenda import due_slots, slots_of
from outbound.services.planning.buckets import Bucket
from outbound.services.planning.firing import Firing, Target, plan_firing
from outbound.services.planning.occurrence import Occurrence, template_of
from outbound.services.planning.window import Pass

DEFAULT_CATCH_UP = Duration(24, DurationUnit.HOUR)
"""How late a slot may still run where a rule does not say; the loader writes the same default into rules."""
_NEAR = timedelta(days=16)
"""How far apart one slot may lie in two zones: a day for the zones, the rest for days off in a row."""


def plan_schedules(work: Pass) -> None:
    """Plan every slot of every schedule rule that is due by the end of the pass."""
    for due in due_slots(work.active, work.buckets, after=work.after, until=work.until):
        with work.isolated():
            _plan_bucket(work, (due.rule, due.trigger), due.bucket, [slot for _, slot in due.times])


def _plan_bucket(work: Pass, scheduled: tuple[Rule, ScheduleTrigger], bucket: Bucket, due: Sequence[Slot]) -> None:
    rule = scheduled[0]
    slots = [slot for slot in due if not work.has_fired(rule.id, slot_name(rule, slot), bucket.key)]
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
        firing = replace(firing_of(rule, bucket, slot), run=partial(_whole_run, work, scheduled, slot))
        work.fired(plan_firing(work.database, work.active, firing, now=work.now))


def _whole_run(work: Pass, scheduled: tuple[Rule, ScheduleTrigger], slot: Slot) -> Iterator[Firing]:
    """The firings of a slot that are still to come, in every zone: what limits count before the first message."""
    rule, trigger = scheduled
    name = slot_name(rule, slot)
    after, until = slot.instant - _NEAR, slot.instant + _NEAR
    for bucket in work.buckets.of(trigger.zone, trigger.calendar):
        for one in slots_of(work.active, scheduled, bucket, after=after, until=until):
            too_late = add(one.instant, rule.catch_up or DEFAULT_CATCH_UP, bucket.zone) < work.now
            if slot_name(rule, one) == name and not too_late and not work.has_fired(rule.id, name, bucket.key):
                yield firing_of(rule, bucket, one)


def firing_of(rule: Rule, bucket: Bucket, slot: Slot) -> Firing:
    """What is planned of a slot in one bucket."""
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
