"""One firing for one customer: the key that makes it happen once, and what the message will say."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from outbound.domain.customer import Customer, Event, Scalar
from outbound.domain.rule import KeyTemplate, Rule
from outbound.engine.conditions.facts import customer_values

_CUSTOMER = "customer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """What all customers of one firing share: of a slot, a date and offset, an event, or a call of ``send``.

    ``placeholders`` fill the rule's ``once``; ``values`` are what templates may read besides the customer.
    ``due`` is when the message should leave and ``expires`` when it is worthless, UTC. ``zone`` is the zone of
    the wall clock, None for each customer's own. ``depth``: how many messages led to this one by their own events.
    """

    placeholders: Mapping[str, str]
    values: Mapping[str, Mapping[str, Any]]
    template: str
    due: datetime
    expires: datetime
    zone: ZoneInfo | None = None
    depth: int = 0


class Prospect(NamedTuple):
    """A customer who matched, with ``who`` true, before the ladder has spoken."""

    customer_id: str
    occurrence: Occurrence


def once_key(template: KeyTemplate, occurrence: Occurrence, customer: Customer) -> str:
    """The rule's ``once`` for one customer.

    A placeholder without a value, which the check refuses, still gives a key: ``?`` and its name, so that the
    occurrence happens at most once rather than never being decided.
    """
    values: dict[str, str] = dict(occurrence.placeholders)
    for _, name in template.parts:
        if name.startswith(_CUSTOMER):
            values[name] = text_of(customer_values(customer).get(name.removeprefix(_CUSTOMER)), name)
        elif name and name not in values:
            values[name] = f"?{name}"
    return template.fill(values)


def is_shared(template: KeyTemplate) -> bool:
    """Whether all customers of an occurrence have the same key: nothing about the customer is in it."""
    return not any(name.startswith(_CUSTOMER) for _, name in template.parts)


def event_placeholders(event: Event) -> dict[str, str]:
    """``event.id`` and every field of the event."""
    fields = {f"event.{name}": text_of(value, f"event.{name}") for name, value in event.data.items()}
    return {**fields, "event.id": event.id}


def text_of(value: Scalar, name: str) -> str:
    """A value as a key spells it: true and false in lower case, whole numbers without a fraction."""
    match value:
        case None:
            return f"?{name}"
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def template_of(rule: Rule, offset: str = "") -> str:
    """The template of an offset (``-14d``), or the rule's only one; "" where the variants of its experiment have it."""
    return rule.send.templates.get(offset) or rule.send.templates.get("", "")
