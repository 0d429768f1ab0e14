"""The schema of rule files."""

from outbound.domain.condition import ValueType
from outbound.domain.rule import Feb29, Shift, UnknownCustomerAction
from outbound.engine.rulefiles.editor.declared import Declared
from outbound.engine.rulefiles.editor.pieces import (
    CLOCK,
    DATE,
    MOMENT,
    NOT_ALL,
    PERCENT,
    SOME,
    SOME_MONEY,
    Json,
    boolean,
    channel,
    choice,
    conditions,
    duration,
    form,
    listing,
    name,
    number,
    only_with,
    record,
    table,
    text,
    value,
    zone,
)
from outbound.engine.rulefiles.experiment import (
    EXPERIMENT_ID,
    EXPERIMENT_KEYS,
    MOST_WEIGHT,
    VARIANT_KEYS,
    VARIANT_NAME,
)
from outbound.engine.rulefiles.rule_file import RULE_KEYS, RULE_NAME
from outbound.engine.rulefiles.rule_keys import ACTIVE_KEYS, GOES_WITH, LIMIT_KEYS
from outbound.engine.rulefiles.schema_file import ATTRIBUTE_NAME
from outbound.engine.rulefiles.send_action import SEND_KEYS
from outbound.engine.rulefiles.triggers import ARGUMENT_TYPES, TRIGGERS

_RECURRENCE = r"^(FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY)|[A-Z]+=[^;]+;(.*;)?FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY))"


def rule_schema(declared: Declared) -> Json:
    """One rule."""
    made = record(
        RULE_KEYS,
        {
            "rule": name(RULE_NAME, "The permanent id, part of every key of idempotency.", "order-shipped"),
            "owner": text("The person or address responsible.", "crm@shop.example"),
            "topic": choice(
                declared.topics, "A topic of rules/policy.yaml; its class decides consent and quiet hours."
            ),
            "when": _when(declared),
            "who": conditions("About the customer; a list means all of them."),
            "once": {
                "type": "string",
                "pattern": r"\S",
                "maxLength": 200,
                "description": "At most one message per rule, customer and this key.",
                "examples": ["{event.order_id}", "{period}", "{date}/{offset}", "{year}", "{experiment.id}", "{key}"],
            },
            "expires": duration("A message that could not leave by then expires.", "m", "h", "d", "w", "mo"),
            "unknown_customer": form(
                rf"^({'|'.join(UnknownCustomerAction)}|hold [0-9]{{1,4}}(mo|[smhdw]))$",
                "An event whose customer is not there: wait, create the customer, or drop it.",
                "hold 6h",
                "create",
                "drop",
            ),
            "catch_up": duration("A slot missed by more is skipped and reported.", "m", "h", "d", "w"),
            "limits": _limits(),
            "experiment": _experiment(declared),
            "active": record(
                ACTIVE_KEYS,
                {
                    "from": form(MOMENT, "The first day or moment."),
                    "until": form(MOMENT, "The last day, or the first moment without the rule."),
                },
                "When the rule fires at all.",
            ),
            "draft": boolean("true: checked, never fires."),
            "send": _send(declared),
        },
        "A rule: who gets which message, and when.",
        required=("rule", "owner", "topic", "when", "send"),
    )
    no_experiment: Json = {"not": {"required": ["experiment"]}}
    return {
        **made,
        "allOf": [
            *(only_with(key, *triggers) for key, triggers in GOES_WITH.items()),
            {"if": no_experiment, "then": {"properties": {"send": {"required": ["template"]}}}},
        ],
    }


def _when(declared: Declared) -> Json:
    at = form(CLOCK, "The time of day, in quotes.", "08:30")
    tz = zone("`customer`: each customer's own clock (the default), or a zone.", "customer")
    calendar = choice(declared.calendars, "A calendar of the policy: a day off moves to a working day.")
    dates = declared.paths(ValueType.DATE)
    known: dict[str, Json] = {
        "event": choice(declared.events, "An event of rules/schema.yaml."),
        "if": conditions("About the event."),
        "schedule": {
            "anyOf": [form(_RECURRENCE, "An RFC 5545 rule."), form(DATE, "One day.")],
            "description": "An RFC 5545 rule (FREQ=MONTHLY;BYDAY=1TU) or one date.",
            "examples": ["FREQ=WEEKLY;BYDAY=WE", "FREQ=MONTHLY;BYDAY=1TU", "FREQ=DAILY"],
        },
        "at": at,
        "tz": tz,
        "calendar": calendar,
        "start": form(DATE, "The day from which INTERVAL and COUNT count."),
        "date": choice(dates, "A customer attribute of type date."),
        "offset": _offsets(),
        "every": choice(("year",), "Each anniversary."),
        "feb29": choice([one.value for one in Feb29], "What stands for 29 February in other years."),
        "shift": choice([one.value for one in Shift], "Where a day off moves to."),
        "changed": choice([p for p in declared.paths() if p != "customer.id"], "The attribute that changes."),
        "from": value("The value before."),
        "to": value("The value after."),
        "enters": choice(declared.segments, "A segment of rules/segments.yaml."),
        "script": table(
            name(ATTRIBUTE_NAME, ""), choice(ARGUMENT_TYPES, "The type of the argument."), "The arguments of the call."
        ),
    }
    needed = {"schedule": ("at",), "date": ("at",)}
    triggers = []
    for trigger, keys in TRIGGERS.items():
        one = record(
            (trigger, *keys),
            {key: known[key] for key in (trigger, *keys)},
            required=(trigger, *needed.get(trigger, ())),
        )
        if trigger == "date":
            one["dependentRequired"] = {"every": ["feb29"], "feb29": ["every"], "shift": ["calendar"]}
        triggers.append({"title": trigger, **one})
    return {"type": "object", "oneOf": triggers, "description": "What starts the rule: one trigger."}


def _offsets() -> Json:
    one = duration("Days or weeks before (-14d) or after.", "d", "w", signed=True)
    return {"anyOf": [one, listing(one, "Several offsets.")], "description": "Calendar days around the date."}


def _limits() -> Json:
    made = record(
        LIMIT_KEYS,
        {
            "recipients": number(1, 999_999_999, "The most messages of a run."),
            "cost": form(SOME_MONEY, "The most it may cost.", "EUR 90"),
            "growth": form(PERCENT, "How many more than usual.", "30%"),
        },
        "Beyond one of them a run stops and asks a person.",
    )
    return {**made, "minProperties": 1}


def _experiment(declared: Declared) -> Json:
    variant = record(
        VARIANT_KEYS,
        {
            "weight": number(1, MOST_WEIGHT, "Relative to the sum of all weights."),
            "template": choice(declared.templates, "The folder in templates/."),
        },
        required=("weight",),
    )
    made = record(
        EXPERIMENT_KEYS,
        {
            "id": name(EXPERIMENT_ID, "Also the salt of the lots: another id draws them again.", "winback-2026-q4"),
            "unit": choice(declared.paths(required=True), "The attribute that is drawn by."),
            "coverage": form(SOME, "The share of people the rule is about at all.", "20%"),
            "holdout": form(NOT_ALL, "The share of those that is sent nothing.", "10%"),
            "variants": table(name(VARIANT_NAME, ""), variant, "Who gets what.", at_least=1),
            "goal": conditions("What counts as success."),
            "stop": form(DATE, "The last day on which people are drawn."),
        },
        "Who gets which variant.",
        required=("id", "variants"),
    )
    alone: Json = {"not": {"required": ["holdout"]}}
    return {**made, "if": alone, "then": {"properties": {"variants": {"minProperties": 2}}}}


def _send(declared: Declared) -> Json:
    template = choice(declared.templates, "The folder in templates/.")
    offsets = table(form(r"^[+-]?[0-9]{1,4}[dw]$", ""), template, "One for each offset.", at_least=1)
    return record(
        SEND_KEYS,
        {
            "template": {"anyOf": [template, offsets], "description": "The template, or one for each offset."},
            "channels": listing(channel(declared.channels), "In order: the first reachable, allowed and open one."),
            "pace": form(r"^[1-9][0-9]{0,8}/h$", "The most per hour.", "20000/h"),
        },
        "What is sent.",
    )
