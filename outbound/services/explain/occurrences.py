"""``match``: what of a rule is due for the customer, the next slot or date, or the newest event, change or entry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import assert_never

from outbound.domain.condition import Clause
from outbound.domain.durations import Duration
from outbound.domain.rule import (
    ChangedTrigger,
    DateTrigger,
    EntersTrigger,
    EventTrigger,
    Rule,
    ScheduleTrigger,
    ScriptTrigger,
)
from outbound.domain.source import Span
from outbound.engine.conditions import evaluate
from outbound.engine.conditions.explain import explain
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.conditions.text import literal_text
from outbound.engine.timing.walls import add, wall
from outbound.services.explain.answer import Line
from outbound.services.explain.subject import Subject
from outbound.services.planning.agenda import days_of, slots_of, targets_of
from outbound.services.planning.buckets import Bucket, bucket_of
from outbound.services.planning.changes import change_occurrence, fits
from outbound.services.planning.compiled import live_at
from outbound.services.planning.dates import firing_of as date_firing
from outbound.services.planning.enters import entry_occurrence
from outbound.services.planning.events import event_occurrence
from outbound.services.planning.firing import Firing
from outbound.services.planning.occurrence import Occurrence, template_of
from outbound.services.planning.schedules import DEFAULT_CATCH_UP
from outbound.services.planning.schedules import firing_of as slot_firing
from outbound.storage import changes, memberships, runs

_INSTANT = timedelta(microseconds=1)
_AHEAD = tuple(timedelta(days=days) for days in (1, 8, 40, 400))
"""How far is looked for the next slot or date, step by step: planning does not look further either."""
_FIRST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The lines of ``match``, and the occurrence to go on with: None where nothing is due, or ``if`` is not true.

    ``facts`` are what ``who`` is then asked with.
    """

    lines: tuple[Line, ...]
    occurrence: Occurrence | None = None
    facts: Facts | None = None


def find(subject: Subject, rule: Rule) -> Found:
    """What of the rule is due for the customer, as planning would find it."""
    if rule.draft:
        return Found(lines=(_line(rule, False, "the rule is a draft", "draft: true"),))
    match rule.trigger:
        case ScheduleTrigger() as trigger:
            return _of_calendar(subject, rule, trigger)
        case DateTrigger() as trigger:
            return _of_calendar(subject, rule, trigger)
        case EventTrigger() as trigger:
            return _of_event(subject, rule, trigger)
        case ChangedTrigger() as trigger:
            return _of_change(subject, rule, trigger)
        case EntersTrigger() as trigger:
            return _of_entry(subject, rule, trigger)
        case ScriptTrigger():
            return _of_script(subject, rule)
        case _:
            assert_never(rule.trigger)


def place_of(span: Span) -> str:
    """``file:line``."""
    return f"{span.file}:{span.line}"


def condition_lines(gate: str, clauses: Sequence[Clause], facts: Facts) -> tuple[Line, ...]:
    """One line for each condition of a list, asked of these facts."""
    lines = []
    for number, clause in enumerate(clauses):
        found = explain(clause, facts)
        name = f"{gate}[{number}]" if len(clauses) > 1 else gate
        place = place_of(clause.span)
        line = Line(
            gate=name,
            verdict=found.verdict,
            text=clause.text,
            because=found.because,
            place=place,
            parts=found.parts,
        )
        lines.append(line)
    return tuple(lines)


def _line(rule: Rule, verdict: bool | None, text: str, because: str = "") -> Line:
    place = place_of(rule.trigger_span or rule.span)
    return Line(gate="match", verdict=verdict, text=text, because=because, place=place)


def _of_calendar(subject: Subject, rule: Rule, trigger: ScheduleTrigger | DateTrigger) -> Found:
    text = trigger_text(rule)
    bucket = bucket_of(subject.active.ruleset.policy, trigger, subject.customer)
    calendar = _Calendar(subject, rule, trigger, bucket)
    firings = calendar.late() or calendar.coming()
    firing = next(firings, None)
    stated = ""
    if isinstance(trigger, DateTrigger):
        name = trigger.attribute.removeprefix("customer.")
        value = customer_values(subject.customer).get(name)
        stated = f"customer.{name} is {'MISSING' if value is None else literal_text(value)}"
    if firing is None:
        nothing = "nothing is due in the next 400 days"
        return Found(lines=(_line(rule, False, text, f"{stated}; {nothing}" if stated else nothing),))
    at = max(subject.now, firing.nominal)
    facts = replace(
        subject.facts(rule.who), now=at, today=firing.today, zone=firing.bucket.zone
    )  # as planning asks: at the slot's own time and day
    return Found(lines=(_line(rule, True, text, stated),), occurrence=firing.targets[0].occurrence, facts=facts)


@dataclass(frozen=True, slots=True)
class _Calendar:
    """What a schedule or a date rule holds for one customer."""

    subject: Subject
    rule: Rule
    trigger: ScheduleTrigger | DateTrigger
    bucket: Bucket

    def coming(self) -> Iterator[Firing]:
        """From the moment asked about on."""
        after = self.subject.now - _INSTANT
        for horizon in _AHEAD:
            until = self.subject.now + horizon
            yield from self._between(after, until)
            after = until

    def late(self) -> Iterator[Firing] | None:
        """What was due before and will still be caught up with, because nobody planned it yet."""
        subject, rule, zone = self.subject, self.rule, self.bucket.zone
        if subject.past:
            return None
        catch_up = rule.catch_up or DEFAULT_CATCH_UP
        since = add(subject.now, Duration(-catch_up.amount, catch_up.unit), zone)
        late = [
            firing
            for firing in self._between(since - _INSTANT, subject.now - _INSTANT)
            if not runs.has_fired(subject.connection, rule=rule.id, slot=firing.slot, zone=self.bucket.key)
        ]
        return iter(late[-1:]) if late else None

    def _between(self, after: datetime, until: datetime) -> Iterator[Firing]:
        """The firings of a stretch that concern the customer."""
        active, rule, bucket = self.subject.active, self.rule, self.bucket
        if isinstance(self.trigger, ScheduleTrigger):
            for slot in slots_of(active, (rule, self.trigger), bucket, after=after, until=until):
                yield slot_firing(rule, bucket, slot)
            return
        value = self.subject.customer.attributes.get(self.trigger.attribute.removeprefix("customer."))
        try:
            stated = date.fromisoformat(str(value))
        except ValueError:
            return
        for instant, day in days_of(active, (rule, self.trigger), bucket, after=after, until=until):
            mine = [t for t in targets_of(active, rule.id, day, bucket.country) if t.matches(stated)]
            if mine:
                yield date_firing((rule, self.trigger), bucket, day, instant, mine[:1])


def _of_event(subject: Subject, rule: Rule, trigger: EventTrigger) -> Found:
    text = trigger_text(rule)
    event = next((e for e in reversed(subject.history([trigger.event])) if e.at <= subject.now), None)
    if event is None:
        return Found(lines=(_line(rule, False, text, "it never happened"),))
    day = wall(event.at, subject.zones.at)
    happened = f"last {day:%Y-%m-%d %H:%M}"
    facts = subject.facts((*trigger.condition, *rule.who), event=event.data)
    if not live_at(subject.active, rule, event.received_at, subject.zones.at):
        return Found(lines=(_line(rule, False, text, f"{happened}, when the rule was not active"),))
    lines = (_line(rule, True, text, happened), *condition_lines("if", trigger.condition, facts))
    if evaluate(trigger.condition)(facts) is not True:
        return Found(lines=lines)
    occurrence = event_occurrence(subject.active, rule, event, subject.person, now=subject.now)
    return Found(lines=lines, occurrence=occurrence, facts=facts)


def _of_change(subject: Subject, rule: Rule, trigger: ChangedTrigger) -> Found:
    text = trigger_text(rule)
    change = changes.newest_of(subject.connection, subject.customer.id, trigger.attribute, upto=subject.now)
    if change is None:
        return Found(lines=(_line(rule, False, text, f"customer.{trigger.attribute} never changed"),))
    old, new = ("MISSING" if v is None else literal_text(v) for v in (change.old, change.new))
    said = f"{old} -> {new} {wall(change.at, subject.zones.at):%Y-%m-%d %H:%M}"
    if not fits(change, trigger):
        return Found(lines=(_line(rule, False, text, said),))
    if not live_at(subject.active, rule, change.at, subject.zones.at):
        return Found(lines=(_line(rule, False, text, f"{said}, when the rule was not active"),))
    occurrence = change_occurrence(subject.active, rule, change, subject.person, now=subject.now)
    return Found(lines=(_line(rule, True, text, said),), occurrence=occurrence, facts=subject.facts(rule.who))


def _of_entry(subject: Subject, rule: Rule, trigger: EntersTrigger) -> Found:
    clauses = subject.active.ruleset.segments[trigger.segment]
    facts = subject.facts((*clauses, *rule.who))
    inside = evaluate(clauses)(facts) is True
    entered = memberships.newest_entry(subject.connection, trigger.segment, subject.customer.id)
    was_in = memberships.is_inside(subject.connection, trigger.segment, subject.customer.id)
    number, at = entered or (0, subject.now)
    if inside and not was_in:
        number, at, said = number + 1, subject.now, "comes in now"
    elif number and was_in:
        said = f"came in {wall(at, subject.zones.at):%Y-%m-%d %H:%M}, entry {number}"
    else:
        said = "was in it when the rule was published" if was_in else "is not in it"
    enters = inside and (not was_in or number >= _FIRST)
    lines = (_line(rule, enters, trigger_text(rule), said), *condition_lines("segment", clauses, facts))
    if not enters or not live_at(subject.active, rule, at, subject.zones.at):
        return Found(lines=lines)
    occurrence = entry_occurrence(rule, number, subject.zones.at, at, subject.now)
    return Found(lines=lines, occurrence=occurrence, facts=facts)


def _of_script(subject: Subject, rule: Rule) -> Found:
    """As if it were sent now: nobody can know whether anybody will."""
    zone = subject.zones.at
    occurrence = Occurrence(
        placeholders={"key": "..."},
        values={"script": {}},
        template=template_of(rule),
        due=subject.now,
        expires=add(subject.now, rule.expires, zone),
    )
    line = _line(rule, None, trigger_text(rule), "as if it were called now")
    return Found(lines=(line,), occurrence=occurrence, facts=subject.facts(rule.who))


def trigger_text(rule: Rule) -> str:
    """The trigger in the words of the rule file."""
    match rule.trigger:
        case ScheduleTrigger() as t:
            return f"schedule {t.recurrence or t.on_date} at {t.at:%H:%M} {t.zone or 'of the customer'}"
        case DateTrigger() as t:
            offsets = ", ".join(str(offset) for offset in t.offsets)
            every = ", every year" if t.every_year else ""
            return f"date {t.attribute}{every}, offset {offsets} at {t.at:%H:%M} {t.zone or 'of the customer'}"
        case EventTrigger() as t:
            return f"event {t.event}"
        case ChangedTrigger() as t:
            ends = "".join(f" {w} {literal_text(v)}" for w, v in (("from", t.old), ("to", t.new)) if v is not None)
            return f"changed customer.{t.attribute}{ends}"
        case EntersTrigger() as t:
            return f"enters {t.segment}"
        case ScriptTrigger():
            return f"`outbound send {rule.id}`"
        case _:
            assert_never(rule.trigger)
