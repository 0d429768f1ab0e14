"""What a condition looks at: the customer's values, the event it is about, what happened before, and the time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Count,
    Happened,
    In,
    InSegment,
    Not,
    Or,
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
    return frozenset(name for clause in clauses for name in _events(clause.condition))


def _events(condition: Condition) -> Iterable[str]:
    match condition:
        case Happened():
            return (condition.event,)
        case And() | Or():
            return (name for part in condition.parts for name in _events(part))
        case Not():
            return _events(condition.part)
        case InSegment():
            return _events(condition.condition)
        case Compare():
            return (value.event for value in (condition.left, condition.right) if isinstance(value, Count))
        case In():
            return (condition.value.event,) if isinstance(condition.value, Count) else ()
        case _:
            return ()
