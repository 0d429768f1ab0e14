"""The triggers that look at what became of a customer: an attribute changed, a segment was entered."""

from collections.abc import Mapping
from typing import Final

from outbound.domain.condition import ValueType
from outbound.domain.customer import Scalar
from outbound.domain.rule import ChangedTrigger, EntersTrigger, Field
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean, near_hint, nearest
from outbound.engine.rulefiles.nodes import Node, ScalarNode
from outbound.engine.rulefiles.record import Record
from outbound.engine.rulefiles.shapes import boolean, scalar, text
from outbound.engine.rulefiles.values import day
from outbound.engine.rulefiles.world import World

_ENDS: Final = ("from", "to")


def read_changed(record: Record, findings: Findings, world: World) -> ChangedTrigger | None:
    """``changed: customer.plan``, with the values it changes ``from`` and ``to`` where they are written."""
    path = record.required("changed", text)
    if path is None:
        return None
    field = _attribute(path, record, findings, world)
    ends = {key: record.optional_node(key) for key in _ENDS}
    if field is None:
        return None
    name = path.removeprefix("customer.")
    before = findings.errors
    old, new = (None if node is None else _value(node, path, field, findings) for node in ends.values())
    if findings.errors > before:
        return None
    if old is not None and old == new:
        message = f"{path} never changes from {old} to {new}"
        findings.error(Code.NEVER_FIRES, record.value_span("to"), message, "'from' and 'to' must differ")
    return ChangedTrigger(attribute=name, old=old, new=new)


def _attribute(path: str, record: Record, findings: Findings, world: World) -> Field | None:
    """The declaration of the attribute; a stand-in where there is no schema to look it up in."""
    span = record.value_span("changed")
    root, _, name = path.partition(".")
    fields = world.schema.customer if world.schema else None
    known = [f"customer.{known}" for known in fields or () if known != "id"]
    if root != "customer" or not name:
        same = f"did you mean customer.{path}?" if path in (fields or ()) else ""
        hint = same or near_hint(path, known) or "write it like customer.plan"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, f"'{path}' is not a customer attribute", hint)
        return None
    if name == "id":
        hint = "a customer with another id is another customer"
        findings.error(Code.NEVER_FIRES, span, "customer.id never changes", hint)
        return None
    if fields is None:
        return None
    if name not in fields:
        message = f"'{path}' is not in rules/schema.yaml"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, message, _like(name, fields))
        return None
    return fields[name]


def _like(name: str, fields: Mapping[str, Field]) -> str:
    near = nearest(name, fields)
    return f"did you mean customer.{near}?" if near else ""


def _value(node: Node, path: str, field: Field, findings: Findings) -> Scalar:
    """A value of the attribute's type, as the store holds it; None after a report."""
    if not isinstance(node, ScalarNode):
        findings.error(Code.WRONG_SHAPE, node.span, "a change is from one value to one value", "write a rule for each")
        return None
    match field.type:
        case ValueType.BOOL:
            return boolean(node, findings)
        case ValueType.DATE:
            found = day(node, findings)
            return None if found is None else found.isoformat()
        case ValueType.NUMBER:
            return _number(node, path, findings)
        case ValueType.ENUM if field.values and node.text not in field.values:
            message = f"'{node.text}' is not a value of {path} ({', '.join(field.values)})"
            findings.error(Code.BAD_VALUE, node.span, message, near_hint(node.text, field.values))
            return None
        case _:
            return text(node, findings)


def _number(node: ScalarNode, path: str, findings: Findings) -> float | None:
    found = scalar(node, findings)
    if found is None:
        return None
    try:
        value = float(found.text)
    except ValueError:
        value = float("nan")
    if not (found.plain and abs(value) < 1e15):  # noqa: PLR2004 -- as far as conditions count too
        findings.error(Code.BAD_VALUE, node.span, f"{path} is a number", "write it like 12.5, without quotes")
        return None
    return int(value) if value.is_integer() else value


def read_enters(record: Record, findings: Findings, world: World) -> EntersTrigger | None:
    """``enters: SEGMENT``."""
    segment = record.required("enters", text)
    if segment is None:
        return None
    name = segment.removeprefix("segment.")
    span = record.value_span("enters")
    world.mentioned.add(name)
    if name != segment:
        findings.error(Code.UNKNOWN_SEGMENT, span, "'enters' names the segment alone", f"write enters: {name}")
    elif world.schema is not None and name not in world.segments:
        hint = did_you_mean(name, world.segments) or "describe it in rules/segments.yaml"
        findings.error(Code.UNKNOWN_SEGMENT, span, f"segment '{name[:60]}' is not in rules/segments.yaml", hint)
    return EntersTrigger(segment=name)
