"""What a condition looks at: the customer's values, the event it is about, what happened before, and the time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Count,
    Default,
    Happened,
    In,
    InSegment,
    Lower,
    Not,
    Or,
    Truth,
    Value,
)
from outbound.domain.customer import ChannelName, Customer, Event, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything one evaluation reads.

    ``customer`` comes from `customer_values`; ``event`` is the triggering event's data, None where there is
    none. ``history`` holds at least the customer's events that `needs_history` names, in any order; events
    after ``now`` do not count. ``today`` and ``zone`` are the customer's (or the zone bucket's) own:
    ``within 3d`` steps the calendar of that zone.
    """

    customer: Mapping[str, Scalar]
    event: Mapping[str, Scalar] | None = None
    history: Sequence[Event] = field(default=())
    now: datetime
    today: date
    zone: ZoneInfo


def customer_values(customer: Customer) -> dict[str, Scalar]:
    """The customer as conditions see it: declared attributes and the reserved ones, which always win."""
    values: dict[str, Scalar] = dict(customer.attributes)
    email = customer.address(ChannelName.EMAIL)
    phone = customer.address(ChannelName.SMS)
    values["id"] = customer.id
    values["email"] = email.value if email else None
    values["phone"] = phone.value if phone else None
    values["country"] = customer.country
    values["language"] = customer.preference.language
    values["timezone"] = customer.preference.timezone
    return values


def needs_history(clauses: Iterable[Clause]) -> frozenset[str]:
    """The names of the events these clauses look back at."""
    return frozenset(look.event for clause in clauses for look in lookbacks(clause.condition))


def lookbacks(condition: Condition) -> Iterator[Happened | Count]:
    """Every look at past events in a condition, segments opened."""
    match condition:
        case Happened():
            yield condition
        case And() | Or():
            for part in condition.parts:
                yield from lookbacks(part)
        case Not():
            yield from lookbacks(condition.part)
        case InSegment():
            yield from lookbacks(condition.condition)
        case Compare():
            yield from _counts(condition.left)
            yield from _counts(condition.right)
        case In() | Truth():
            yield from _counts(condition.value)
        case _:
            return


def _counts(value: Value) -> Iterator[Count]:
    match value:
        case Count():
            yield value
        case Default():
            yield from _counts(value.left)
            yield from _counts(value.right)
        case Lower():
            yield from _counts(value.value)
        case _:
            return
