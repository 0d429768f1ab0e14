"""The schema of rule tests, rules/tests/*.test.yaml."""

from outbound.domain.reasons import ReasonCode
from outbound.engine.rulefiles.editor.declared import Declared
from outbound.engine.rulefiles.editor.pieces import (
    DATE,
    Json,
    channel,
    choice,
    form,
    listing,
    record,
    table,
    text,
    value,
    zone,
)

_MOMENT = r"^(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
_OFFSET = r"^\+[0-9]{1,4}(mo|[smhdw])$"
_REASONS = rf"^({'|'.join(code.value for code in ReasonCode)}|exit|else|waiting)(\.\S.*)?$"
_DEFAULTS = "_defaults"
_CUSTOMER = r"^[^\s_].*$"


def test_schema(declared: Declared) -> Json:
    """One test: a clock, people, what happens to them, and the messages that are expected."""
    one_or_more: Json = {"anyOf": [text(""), listing(text(""), "Several customers.")]}
    rules = listing(text("", "../winback.yaml"), "The rule files under test, as seen from here.")
    return record(
        ("test", "rules", "policy", "clock", "customers", "events", "expect", "why_not", "end"),
        {
            "test": text("The name of the test."),
            "rules": rules,
            "policy": text("The policy file, as seen from here.", "../policy.yaml"),
            "clock": _clock(),
            "customers": _customers(declared),
            "events": listing(_event(declared, one_or_more), "What happens."),
            "expect": table(form(_CUSTOMER, ""), _messages(declared), "The messages of each customer, all of them."),
            "why_not": listing(_why_not(one_or_more), "The reasons of those that were not sent."),
            "end": table(form(_CUSTOMER, ""), text("", "completed"), "The final state of journey runs."),
        },
        "A unit test of rules.",
        required=("test", "rules", "clock", "customers"),
    )


def _moment(about: str) -> Json:
    return {"anyOf": [form(_MOMENT, ""), form(DATE, "")], "description": about}


def _clock() -> Json:
    start, stop = _moment("Where the clock starts."), _moment("Where it ends.")
    return record(
        ("start", "stop", "tz"),
        {"start": start, "stop": stop, "tz": zone("The zone of the times in this file.")},
        "The virtual clock.",
        required=("start", "stop"),
    )


def _customers(declared: Declared) -> Json:
    attributes: dict[str, Json] = {name: value("") for name in declared.attributes}
    one: Json = {
        "type": "object",
        "properties": {
            **attributes,
            "reach": listing(channel(declared.channels), "The channels with an address.", at_least=0),
            "consent": listing(choice(declared.topics, ""), "The topics they said yes to.", at_least=0),
            "refused": listing(choice(declared.topics, ""), "The topics they said no to.", at_least=0),
            "prefers": channel(declared.channels),
        },
        "description": "The attributes that matter; all others are missing.",
    }
    if attributes:
        one["propertyNames"] = {"enum": list(one["properties"])}
    return {
        "type": "object",
        "properties": {_DEFAULTS: one},
        "patternProperties": {_CUSTOMER: one},
        "additionalProperties": False,
        "description": "Who is there; `_defaults` are the attributes of everyone.",
    }


def _event(declared: Declared, customer: Json) -> Json:
    when: Json = {"anyOf": [form(_OFFSET, ""), form(_MOMENT, ""), form(DATE, "")]}
    happening = record(
        ("at", "event", "send", "set", "customer", "data"),
        {
            "at": {**when, "description": "A time, or +30m from the start of the clock."},
            "event": choice(declared.events, "An event of rules/schema.yaml."),
            "send": text("A rule that a script starts."),
            "set": {"type": "object", "description": "Attributes that change."},
            "customer": {**customer, "description": "To whom."},
            "data": {"type": "object", "description": "The fields of the event, or the arguments of the script."},
        },
        required=("at", "customer"),
    )
    return {**happening, "oneOf": [{"required": ["event"]}, {"required": ["send"]}, {"required": ["set"]}]}


def _messages(declared: Declared) -> Json:
    message = record(
        ("at", "channel", "template", "rule", "topic", "step", "held_by"),
        {
            "at": _moment("When it leaves."),
            "channel": channel(declared.channels),
            "template": choice(declared.templates, "Which template."),
            "rule": text("Of which rule."),
            "topic": choice(declared.topics, "On which topic."),
            "step": text("Which step of a journey."),
            "held_by": form(_REASONS, "The first gate that held it."),
        },
        "Only the fields that are written are compared.",
    )
    return {"type": "array", "items": message, "description": "In order; an empty list is nobody's message."}


def _why_not(customer: Json) -> Json:
    return record(
        ("customer", "rule", "step", "reason", "at"),
        {
            "customer": customer,
            "rule": text("Which rule."),
            "step": text("Which step of a journey."),
            "reason": form(_REASONS, "A reason, with its detail or without.", "consent.newsletter"),
            "at": _moment("When it was decided."),
        },
        required=("customer", "reason"),
    )
