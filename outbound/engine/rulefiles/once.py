"""``once``: the key under which a customer gets a message at most once.

Built only from what is always there: a missing value would make two occurrences one, or one occurrence two.
"""

from collections.abc import Mapping

from outbound.domain.rule import (
    ChangedTrigger,
    DateTrigger,
    EntersTrigger,
    EventTrigger,
    KeyTemplate,
    ScheduleTrigger,
    Schema,
    ScriptTrigger,
    Trigger,
)
from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ScalarNode
from outbound.engine.rulefiles.recurrence_days import twice_in_a_period
from outbound.engine.rulefiles.triggers import ReadTrigger

_LONGEST = 200
_NO_PLACEHOLDER = -1
_EXPERIMENT = "experiment.id"


def default_once(trigger: Trigger) -> str:
    """What a rule without ``once`` uses (rules.md 1.9): every firing is one occurrence."""
    match trigger:
        case EventTrigger():
            return "{event.id}"
        case ScheduleTrigger():
            return "{period}"
        case DateTrigger():
            return "{date}/{offset}"
        case ChangedTrigger():
            return "{change.id}"
        case EntersTrigger():
            return "{entry.number}"
        case ScriptTrigger():
            return "{key}"


def placeholders(trigger: Trigger, schema: Schema | None) -> Mapping[str, bool]:
    """What a key may be built from, and whether it is always there."""
    match trigger:
        case EventTrigger():
            fields = schema.events.get(trigger.event, {}) if schema else {}
            return {"event.id": True, **{f"event.{name}": field.required for name, field in fields.items()}}
        case ScheduleTrigger():
            return {"period": True, "date": True}
        case DateTrigger():
            return {"date": True, "offset": True, "year": True}
        case ChangedTrigger():
            return {"change.id": True, "change.date": True}
        case EntersTrigger():
            return {"entry.number": True, "entry.date": True}
        case ScriptTrigger():
            return {"key": True, **{f"script.{name}": True for name in trigger.arguments}}


def read_once(
    node: ScalarNode | None,
    read: ReadTrigger,
    schema: Schema | None,
    findings: Findings,
    *,
    rule: Span,
    experiment: str = "",
) -> KeyTemplate | None:
    """The key of a rule, or its default; None after reporting a key that cannot work.

    ``{experiment.id}`` is the same for all who get the message, so its value is put in here.
    """
    before = findings.errors
    written = default_once(read.trigger) if node is None else node.text.strip()
    if node is not None and len(written) > _LONGEST:
        findings.error(Code.BAD_ONCE, node.span, f"'once' is longer than {_LONGEST} characters")
        return None
    parts = _parts(written, node, findings)
    if node is not None and parts is not None:
        trigger = read.trigger
        event_unknown = isinstance(trigger, EventTrigger) and (not schema or trigger.event not in schema.events)
        known = {**placeholders(trigger, schema), **({_EXPERIMENT: True} if experiment else {})}
        _check_names(node, parts, known, event_unknown=event_unknown, findings=findings)
    if parts is None or findings.errors > before:
        return None
    names = {name for _, name, _ in parts if name}
    _check_repeats(names, read, node.span if node is not None else rule, findings)
    filled = ((text + experiment, "") if name == _EXPERIMENT else (text, name) for text, name, _ in parts)
    return KeyTemplate(parts=tuple(filled), text=written)


def _parts(written: str, node: ScalarNode | None, findings: Findings) -> list[tuple[str, str, int]] | None:
    """(text before, placeholder, its offset); after the last placeholder perhaps a text alone."""
    parts: list[tuple[str, str, int]] = []
    position = 0
    while position < len(written):
        opening, closing = written.find("{", position), written.find("}", position)
        if opening < 0 and closing < 0:
            parts.append((written[position:], "", _NO_PLACEHOLDER))
            break
        if opening < 0 or closing < opening or "{" in written[opening + 1 : closing]:
            if node is not None:
                place = node.place(max(opening, 0) if opening >= 0 else closing)
                findings.error(Code.BAD_ONCE, place, "a brace is open or closed alone", "write {period}, for example")
            return None
        parts.append((written[position:opening], written[opening + 1 : closing].strip(), opening))
        position = closing + 1
    return parts


def _check_names(
    node: ScalarNode,
    parts: list[tuple[str, str, int]],
    known: Mapping[str, bool],
    *,
    event_unknown: bool,
    findings: Findings,
) -> None:
    for _, name, offset in parts:
        if offset < 0:
            continue
        span = node.place(offset, len(name) + 2)
        if name == _EXPERIMENT and name not in known:
            hint = "add experiment: {id: ..}, or remove the placeholder"
            findings.error(Code.BAD_ONCE, span, "the rule has no experiment for '{experiment.id}'", hint)
        elif name.startswith("event.") and event_unknown:
            continue
        elif name not in known:
            shown = [f"{{{word}}}" for word in known]
            hint = did_you_mean(f"{{{name}}}", shown) or f"known here: {', '.join(shown)}"
            findings.error(Code.BAD_ONCE, span, f"unknown placeholder '{{{name}}}'", hint)
        elif not known[name]:
            message = f"{name} is optional: without it two events would be one"
            hint = "make it required in rules/schema.yaml, or use {event.id}"
            findings.error(Code.ONCE_OPTIONAL, span, message, hint)


def _check_repeats(names: set[str], read: ReadTrigger, span: Span, findings: Findings) -> None:
    """Refuse a key under which a later firing of the same rule would silently be a repetition."""
    trigger = read.trigger
    if isinstance(trigger, ScheduleTrigger) and read.recurrence and "period" in names and "date" not in names:
        twice = twice_in_a_period(read.recurrence.rule, trigger.start)
        if twice:
            message = f"two days in one {{period}}, like {twice[0]} and {twice[1]}: the second would not be sent"
            findings.error(Code.ONCE_REPEATS, span, message, 'write once: "{date}"')
    if isinstance(trigger, DateTrigger):
        if len(trigger.offsets) > 1 and "offset" not in names:
            message = "several offsets, but 'once' lacks {offset}: only the first would be sent"
            findings.error(Code.ONCE_REPEATS, span, message, 'write once: "{date}/{offset}"')
        if trigger.every_year and not names & {"year", "date", _EXPERIMENT}:
            message = "every: year, but 'once' lacks {year}: it would be sent once for ever"
            findings.error(Code.ONCE_REPEATS, span, message, 'write once: "{year}"')
