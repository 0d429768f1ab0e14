"""rules/schema.yaml: the declared attributes of customers and events."""

from collections.abc import Mapping
from typing import Final

from outbound.domain.condition import ValueType
from outbound.domain.message_events import BUILT_IN, PREFIXES
from outbound.domain.rule import Field, Schema
from outbound.engine.conditions.scope import RESERVED
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean, nearest
from outbound.engine.rulefiles.nodes import MapNode, Node, ScalarNode
from outbound.engine.rulefiles.record import open_record
from outbound.engine.rulefiles.shapes import boolean, choice, items, name, text

ATTRIBUTE_NAME: Final = r"[a-z][a-z0-9_]{0,62}"
EVENT_NAME: Final = rf"{ATTRIBUTE_NAME}(\.{ATTRIBUTE_NAME}){{0,3}}"
attribute_name = name(ATTRIBUTE_NAME, "first_name")
event_name = name(EVENT_NAME, "order.shipped")

SCHEMA_KEYS: Final = ("customer", "events")
FIELD_KEYS: Final = ("type", "required", "values", "index")

_BUILT_IN_FIELD = Field(type=ValueType.STRING)


def read_schema(documents: list[Node], findings: Findings) -> Schema:
    """The schema with the reserved attributes added.

    A declaration that cannot be read is reported and kept as a text, so that the rules which use it do not
    add to the noise. ``customer`` and ``events`` may stand in documents of their own.
    """
    customer: dict[str, Field] = {}
    events: dict[str, dict[str, Field]] = {}
    first_places: dict[str, int] = {}
    for document in documents:
        record = open_record(document, findings, keys=SCHEMA_KEYS)
        if record is None:
            continue
        for key in SCHEMA_KEYS:
            if record.has(key) and key in first_places:
                message = f"duplicate key '{key}', first on line {first_places[key]}"
                findings.error(Code.DUPLICATE_KEY, record.key_span(key), message, "put both into one")
            elif record.has(key):
                first_places[key] = record.key_span(key).line
        customer |= _fields(record.node("customer"), findings, of_customer=True)
        events |= _events(record.node("events"), findings)
    for reserved in RESERVED:
        customer.setdefault(reserved, Field(type=ValueType.STRING, required=reserved == "id"))
    for event, names in BUILT_IN.items():
        events[event] = {**events.get(event, {}), **dict.fromkeys(names, _BUILT_IN_FIELD)}
    return Schema(customer=customer, events=events)


def _events(node: Node | None, findings: Findings) -> dict[str, dict[str, Field]]:
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        findings.error(Code.WRONG_SHAPE, node.span, "'events' must be a mapping", "write order.placed: {..}")
        return {}
    found = {}
    for key, value in node:
        event = event_name(key, findings)
        fields = _fields(value, findings, of_customer=False)
        if event is not None and event.startswith(PREFIXES):
            _built_in(key, value, fields, findings)
        if event is not None:
            found[event] = fields
    return found


def _built_in(key: ScalarNode, node: Node, fields: Mapping[str, Field], findings: Findings) -> None:
    """An event of the product is built in: it may be declared again as it is, and have more fields."""
    if key.text not in BUILT_IN:
        prefix = key.text.partition(".")[0]
        hint = did_you_mean(key.text, BUILT_IN) or "choose another name"
        whose = "messages" if prefix == "message" else "what customers ask for"
        findings.error(Code.BAD_NAME, key.span, f"names with '{prefix}.' belong to the events of {whose}", hint)
    for field, value in node if isinstance(node, MapNode) else ():
        if field.text in BUILT_IN.get(key.text, ()) and fields.get(field.text, _BUILT_IN_FIELD) != _BUILT_IN_FIELD:
            message = f"'{key.text}.{field.text}' is built in as an optional string"
            findings.error(Code.BAD_VALUE, value.span, message, "write {type: string}, or leave it out")


def _fields(node: Node | None, findings: Findings, *, of_customer: bool) -> dict[str, Field]:
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        hint = "write {} for an event without fields" if not of_customer else "write plan: {type: string}"
        findings.error(Code.WRONG_SHAPE, node.span, f"'{node.name}' must be a mapping", hint)
        return {}
    found = {}
    for key, value in node:
        attribute = attribute_name(key, findings)
        field = _field(value, findings, of_customer=of_customer)
        if attribute is None:
            continue
        if of_customer and attribute in RESERVED:
            field = _reserved(attribute, field, value, findings)
        elif not of_customer and attribute == "id":
            message = "'id' is the event's own id, always there"
            findings.error(Code.BAD_NAME, key.span, message, "choose another name, like order_id")
        found[attribute] = field
    return found


def _field(node: Node, findings: Findings, *, of_customer: bool) -> Field:
    keys = FIELD_KEYS if of_customer else FIELD_KEYS[:3]
    elsewhere = None if of_customer else {"index": "customer attributes only"}
    record = open_record(node, findings, keys=keys, elsewhere=elsewhere)
    if record is None:
        return Field(type=_meant(node))
    written = record.required("type", choice([t.value for t in ValueType]))
    values = record.optional("values", items(text, example="write [dhl, ups]")) or ()
    required = record.optional("required", boolean) or False
    index = record.optional("index", boolean) or False
    if written is None:
        return Field(type=_meant(record.node("type")), required=required)
    kind = ValueType(written)
    if kind is ValueType.ENUM and not record.has("values"):
        record.missing("values", "an enum lists its values: [dhl, ups]")
    if kind is not ValueType.ENUM and record.has("values"):
        message = f"'values' does not go with type {kind}"
        findings.error(Code.MISPLACED_KEY, record.key_span("values"), message, "write type: enum")
        values = ()
    return Field(type=kind, required=required, values=values, index=index)


def _meant(node: Node | None) -> ValueType:
    """The type a misspelled one most probably means, so that the rules which use it are checked against that."""
    written = node.text if isinstance(node, ScalarNode) else ""
    return ValueType(nearest(written, [t.value for t in ValueType]) or ValueType.STRING)


def _reserved(attribute: str, field: Field, node: Node, findings: Findings) -> Field:
    """A reserved attribute is a text that may be required or narrowed to an enum; the id is always required."""
    if field.type not in (ValueType.STRING, ValueType.ENUM):
        message = f"'{attribute}' always exists and is a string"
        findings.error(Code.BAD_VALUE, node.span, message, "write type: string, or narrow it to an enum")
    return Field(
        type=field.type if field.type is ValueType.ENUM else ValueType.STRING,
        required=field.required or attribute == "id",
        values=field.values,
        index=field.index,
    )
