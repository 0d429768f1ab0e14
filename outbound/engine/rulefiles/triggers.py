"""The ``when`` of a rule: exactly one trigger, with the keys that go with it."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, NamedTuple

from outbound.domain.condition import Clause, ValueType
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.rule import DateTrigger, EventTrigger, Feb29, ScheduleTrigger, ScriptTrigger, Shift, Trigger
from outbound.domain.source import Span
from outbound.engine.conditions import Scope, needs_history
from outbound.engine.conditions.parts import needs_attributes
from outbound.engine.rulefiles.change_triggers import read_changed, read_enters
from outbound.engine.rulefiles.clauses import read_clauses, segments_in, written_conditions
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ListNode, Node, ScalarNode
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.recurrence import WrittenRule, check_recurrence, read_recurrence
from outbound.engine.rulefiles.schema_file import attribute_name
from outbound.engine.rulefiles.shapes import choice, items, scalar, table, text
from outbound.engine.rulefiles.values import clock, day, duration, parse_date, zone
from outbound.engine.rulefiles.world import World

TRIGGERS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("if",),
    "schedule": ("at", "tz", "calendar", "start"),
    "date": ("offset", "every", "at", "tz", "feb29", "calendar", "shift"),
    "changed": ("from", "to"),
    "enters": (),
    "script": (),
}
"""The triggers and the keys that go with each."""
_HINTS: Final = {
    "if": "conditions about the customer stand in who",
    "start": "only a repeating schedule has a start",
    "shift": "a schedule moves to the next working day",
    "from": "only a change is from one value to another",
    "to": "only a change is from one value to another",
}
ARGUMENT_TYPES: Final = ("string", "number", "bool", "date")
_TODAY: Final = (Duration(0, DurationUnit.DAY),)


class ReadTrigger(NamedTuple):
    """The trigger, where it stands, and the recurrence of a repeating schedule for the checks of ``once``."""

    trigger: Trigger
    place: Span
    recurrence: WrittenRule | None = None


def read_trigger(node: Node, findings: Findings, world: World) -> ReadTrigger | None:
    """The trigger, or None after reporting why there is none."""
    keys = dict.fromkeys([*TRIGGERS, *(key for with_it in TRIGGERS.values() for key in with_it)])
    record = open_record(node, findings, keys=[*keys])
    if record is None:
        return None
    kinds = [kind for kind in TRIGGERS if record.has(kind)]
    if len(kinds) > 1:
        message = f"a rule has one trigger, not {' and '.join(kinds)}"
        findings.error(Code.TRIGGER, record.key_span(kinds[1]), message, "write a second rule for the other")
        return None
    if not kinds:
        if not record.excused():
            message = f"a rule needs a trigger: {', '.join(TRIGGERS)}"
            findings.error(Code.TRIGGER, record.span, message, "what starts the rule?")
        return None
    kind = kinds[0]
    for key in keys:
        if record.has(key) and key != kind and key not in TRIGGERS[kind]:
            message = f"'{key}' does not go with the trigger '{kind}'"
            findings.error(Code.MISPLACED_KEY, record.key_span(key), message, _HINTS.get(key, "remove it"))
    readers = {
        "event": _event,
        "schedule": _schedule,
        "date": _date,
        "changed": _changed,
        "enters": _enters,
        "script": _script,
    }
    return readers[kind](record, findings, world)


def _event(record: Record, findings: Findings, world: World) -> ReadTrigger | None:
    event = record.required("event", text)
    schema = world.schema
    known = schema is not None and event in schema.events
    if event is not None and schema is not None and not known:
        message = f"event '{event}' is not in rules/schema.yaml"
        findings.error(Code.UNKNOWN_EVENT, record.value_span("event"), message, did_you_mean(event, schema.events))
    scope = Scope(schema=schema, segments=world.segments, event=event) if schema is not None and known else None
    for node in written_conditions(record.node("if")):
        world.mentioned.update(name for name, _ in segments_in(node.text))
    condition = read_clauses(record.node("if"), findings, scope)
    _about_the_event(condition, findings)
    return (
        None
        if event is None
        else ReadTrigger(EventTrigger(event=event, condition=condition), record.value_span("event"))
    )


def _about_the_event(condition: Iterable[Clause], findings: Findings) -> None:
    """``if`` looks at the event alone, and at whose it is: its misses are not kept, they can be asked again (adr 9)."""
    for clause in condition:
        named = sorted(needs_attributes((clause,)) - {"id"})
        past = sorted(needs_history((clause,)))
        if named or past:
            what = f"customer.{named[0]}" if named else f"{past[0]} events of the past"
            message = f"'if' is about the event, not about {what}"
            findings.error(Code.IF_CUSTOMER, clause.span, message, "move this condition to who")


def _schedule(record: Record, findings: Findings, world: World) -> ReadTrigger | None:
    at = record.required("at", clock)
    tz = _zone(record)
    calendar = _calendar(record, findings, world)
    start = record.optional("start", day)
    written = record.required("schedule", scalar)
    if written is None:
        return None
    recurrence, on_date = None, None
    if written.text[:1].isdigit():
        on_date = _one_off(record, written, findings)
        if on_date is None:
            return None
    else:
        recurrence = read_recurrence(written, findings)
        if recurrence is None:
            return None
        if start is not None or not record.has("start"):
            check_recurrence(recurrence, start, findings)
    if at is None:
        return None
    trigger = ScheduleTrigger(
        at=at,
        zone=tz,
        recurrence=recurrence.text if recurrence else None,
        on_date=on_date,
        start=start,
        calendar=calendar,
    )
    return ReadTrigger(trigger, record.value_span("schedule"), recurrence)


def _one_off(record: Record, written: ScalarNode, findings: Findings) -> date | None:
    """The single date of a schedule."""
    if parse_date(written.text) is None and "T" in written.text.upper():
        findings.error(Code.BAD_DATE, written.span, "date must be YYYY-MM-DD and exist", 'the time is `at: "HH:MM"`')
        return None
    if record.has("start"):
        message = "'start' does not go with a single date"
        findings.error(Code.MISPLACED_KEY, record.key_span("start"), message, _HINTS["start"])
    return day(written, findings)


def _date(record: Record, findings: Findings, world: World) -> ReadTrigger | None:
    attribute = _date_attribute(record, findings, world)
    at = record.required("at", clock)
    offsets = record.optional("offset", _offsets) or _TODAY
    every_year = record.optional("every", choice(("year",))) is not None
    feb29 = record.optional("feb29", choice([f.value for f in Feb29]))
    if record.has("every") and not record.has("feb29"):
        record.missing("feb29", "what of 29 February in other years? write feb29: feb28, mar1 or skip")
    if record.has("feb29") and not record.has("every"):
        message = "'feb29' goes with every: year"
        findings.error(Code.MISPLACED_KEY, record.key_span("feb29"), message, "add every: year, or remove it")
    shift = record.optional("shift", choice([s.value for s in Shift]))
    if record.has("shift") and not record.has("calendar"):
        message = "'shift' needs a calendar"
        findings.error(
            Code.MISPLACED_KEY, record.key_span("shift"), message, "add calendar: business-days, or remove it"
        )
    tz, calendar = _zone(record), _calendar(record, findings, world)
    if attribute is None or at is None:
        return None
    trigger = DateTrigger(
        attribute=attribute,
        at=at,
        zone=tz,
        offsets=offsets,
        every_year=every_year,
        feb29=Feb29(feb29) if feb29 else None,
        calendar=calendar,
        shift=Shift(shift) if shift else Shift.NEXT,
    )
    return ReadTrigger(trigger, record.value_span("date"))


def _date_attribute(record: Record, findings: Findings, world: World) -> str | None:
    """The name after ``customer.``, declared and of type date."""
    path = record.required("date", text)
    if path is None:
        return None
    root, _, attribute = path.partition(".")
    fields = world.schema.customer if world.schema else None
    dates = [f"customer.{name}" for name, field in (fields or {}).items() if field.type is ValueType.DATE]
    span = record.value_span("date")
    if root != "customer" or not attribute:
        message = f"'{path}' is not a customer attribute"
        findings.error(
            Code.UNKNOWN_ATTRIBUTE, span, message, did_you_mean(path, dates) or "write it like customer.birth_date"
        )
        return None
    if fields is not None and attribute not in fields:
        message = f"'{path}' is not in rules/schema.yaml"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, message, did_you_mean(path, dates))
    elif fields is not None and fields[attribute].type is not ValueType.DATE:
        message = f"{path} has type {fields[attribute].type}, not date"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, message, did_you_mean(path, dates))
    return attribute


def _offsets(node: Node, findings: Findings) -> tuple[Duration, ...] | None:
    """One offset or several, in calendar days or weeks, no two of them the same day."""
    shape = duration("d", "w", signed=True)
    if isinstance(node, ListNode):
        found = items(shape)(node, findings)
    else:
        single = shape(node, findings)
        found = None if single is None else (single,)
    offsets: dict[int, Duration] = {}
    for number, offset in enumerate(found or ()):
        days = offset.amount * (7 if offset.unit is DurationUnit.WEEK else 1)
        if days in offsets:
            place = node.items[number].span if isinstance(node, ListNode) else node.span
            findings.error(Code.OFFSETS, place, f"{offset} and {offsets[days]} are the same day", "remove one")
        offsets.setdefault(days, offset)
    return tuple(offsets.values()) or None


def _changed(record: Record, findings: Findings, world: World) -> ReadTrigger | None:
    trigger = read_changed(record, findings, world)
    return None if trigger is None else ReadTrigger(trigger, record.value_span("changed"))


def _enters(record: Record, findings: Findings, world: World) -> ReadTrigger | None:
    trigger = read_enters(record, findings, world)
    return None if trigger is None else ReadTrigger(trigger, record.value_span("enters"))


def _script(record: Record, findings: Findings, world: World) -> ReadTrigger | None:  # noqa: ARG001 -- one signature
    node = record.node("script")
    if isinstance(node, ScalarNode):
        hint = "write {batch: string}, or {} for a call without arguments"
        findings.error(Code.WRONG_SHAPE, node.span, "'script' lists the arguments of the call", hint)
        return None
    before = findings.errors
    arguments = record.required("script", table(attribute_name, choice(ARGUMENT_TYPES)))
    if arguments is None or findings.errors > before:
        return None
    trigger = ScriptTrigger(arguments={name: ValueType(kind) for name, kind in arguments.items()})
    return ReadTrigger(trigger, record.value_span("script"))


def _zone(record: Record) -> str | None:
    """A zone of the rule's own; None is each customer's, also where nothing is written."""
    node = record.node("tz")
    if isinstance(node, ScalarNode) and node.text == "customer":
        return None
    return record.optional("tz", zone)


def _calendar(record: Record, findings: Findings, world: World) -> str | None:
    found = record.optional("calendar", text)
    if found is not None and world.policy is not None and found not in world.policy.calendars:
        hint = did_you_mean(found, world.policy.calendars) or "describe it under 'calendars' in rules/policy.yaml"
        findings.error(Code.UNKNOWN_CALENDAR, record.value_span("calendar"), f"unknown calendar '{found}'", hint)
    return found
