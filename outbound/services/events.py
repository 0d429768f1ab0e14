"""Recording one event: typed against the schema, once per id, seen by the rules at the next pass of planning."""

from collections.abc import Mapping
from datetime import datetime

from outbound.domain.condition import ValueType
from outbound.domain.customer import Event, Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.message_events import PREFIXES
from outbound.domain.rule import Field, Schema
from outbound.services.retyped import converted, fits
from outbound.storage import events as event_log
from outbound.storage.database import Database


def record_event(
    database: Database,
    schema: Schema,
    *,
    name: str,
    customer_id: str,
    data: Mapping[str, Scalar],
    event_id: str | None = None,
    at: datetime | None = None,
    now: datetime,
    source: str = "",
) -> tuple[Event, bool]:
    """Record that ``name`` happened to a customer, known or not yet. Answers the event and whether it is new.

    ``event_id`` is the sender's own id, kept as ``NAME/ID`` like an imported one: the same id again is the same
    event. ``at`` is when it happened, ``now`` unless given. Raises OutboundError ``event.name`` or ``event.data``
    when the schema does not know it so, and ``event.id`` when the id stands for an event of another customer.
    """
    event = make_event(schema, name=name, customer_id=customer_id, data=data, event_id=event_id, at=at, now=now)
    with database.write() as connection:
        fresh = event_log.append(connection, [event], now=now, fire=True, source=source)
        if not fresh and event_log.customer_of(connection, event.id) != customer_id:
            raise another_customer(event)
    return event, fresh == 1


def make_event(
    schema: Schema,
    *,
    name: str,
    customer_id: str,
    data: Mapping[str, Scalar],
    event_id: str | None = None,
    at: datetime | None = None,
    now: datetime,
) -> Event:
    """The event as it is to be recorded. Raises OutboundError ``event.name`` or ``event.data``."""
    return Event(
        id=f"{name}/{event_id}" if event_id else new_id(now),
        name=name,
        customer_id=customer_id,
        data=check_event(schema, name=name, data=data),
        at=at or now,
        received_at=now,
    )


def another_customer(event: Event) -> OutboundError:
    """One id is one event, of one customer."""
    message = f"{event.id.replace('/', ' ', 1)} was recorded for another customer"
    return OutboundError("event.id", message, "check the id: one id is one event")


def check_event(schema: Schema, *, name: str, data: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The fields of an event as the schema declares them. Raises OutboundError ``event.name`` or ``event.data``."""
    declared = schema.events.get(name)
    if declared is None:
        known = ", ".join(sorted(event for event in schema.events if not event.startswith(PREFIXES))) or "none"
        raise OutboundError("event.name", f"{name!r} is not an event of rules/schema.yaml", f"declared are: {known}")
    return typed_fields(name, declared, data)


def typed_fields(name: str, declared: Mapping[str, Field], data: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The fields as the schema declares them; text is converted. Raises OutboundError ``event.data``."""
    takes = ", ".join(f"{field}=<{kind.type}>" for field, kind in declared.items()) or "no fields"
    for field in data:
        if field not in declared:
            raise OutboundError("event.data", f"{name} has no field {field!r}", f"it takes: {takes}")
    values: dict[str, Scalar] = {}
    for field, kind in declared.items():
        given = data.get(field)
        if given is None or given == "":
            if kind.required:
                raise OutboundError("event.data", f"{name} needs the field {field!r}", f"it takes: {takes}")
            continue
        value = converted(given, kind.type)
        if value is None or not fits(value, kind):
            wanted = f"one of {', '.join(kind.values)}" if kind.type is ValueType.ENUM else f"a {kind.type}"
            raise OutboundError("event.data", f"{name}: {field!r} is not {wanted}", f"it takes: {takes}")
        values[field] = value
    return values
