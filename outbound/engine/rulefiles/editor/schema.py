"""The schema of rules/schema.yaml."""

from outbound.domain.condition import ValueType
from outbound.engine.rulefiles.editor.pieces import Json, boolean, choice, listing, name, record, table, value
from outbound.engine.rulefiles.schema_file import ATTRIBUTE_NAME, EVENT_NAME, FIELD_KEYS, SCHEMA_KEYS

_INDEX = "index"


def schema_schema() -> Json:
    """What customers and events are made of."""
    attribute = name(ATTRIBUTE_NAME, "", "first_name")
    fields = table(name(rf"(?!id$){ATTRIBUTE_NAME}", ""), _field(of_customer=False), "The fields of the event.")
    return record(
        SCHEMA_KEYS,
        {
            "customer": table(attribute, _field(of_customer=True), "The attributes of customers."),
            "events": table(name(EVENT_NAME, "", "order.placed"), fields, "What happens to customers."),
        },
        "The attributes of customers and events.",
    )


def _field(*, of_customer: bool) -> Json:
    keys = [key for key in FIELD_KEYS if of_customer or key != _INDEX]
    properties: dict[str, Json] = {
        "type": choice([one.value for one in ValueType], "The type of its values."),
        "required": boolean("Always there; only such fields may build a `once` key."),
        "values": listing(value(""), "Everything an enum may be."),
        _INDEX: boolean("Make it fast to select by."),
    }
    is_enum = {"properties": {"type": {"const": ValueType.ENUM.value}}, "required": ["type"]}
    return {
        **record(keys, {key: properties[key] for key in keys}, required=("type",)),
        "if": is_enum,
        "then": {"required": ["values"]},
        "else": {"not": {"required": ["values"]}},
    }
