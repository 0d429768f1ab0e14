"""A rule as marketing means it, after parsing and checking."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum

from outbound.domain.condition import Clause, ValueType
from outbound.domain.customer import ChannelName, Scalar
from outbound.domain.durations import Duration
from outbound.domain.experiment import Experiment
from outbound.domain.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A declared attribute of a customer or an event."""

    type: ValueType
    required: bool = False
    values: tuple[str, ...] = ()
    index: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """rules/schema.yaml: what customers and events are made of. Reserved attributes are always present."""

    customer: Mapping[str, Field]
    events: Mapping[str, Mapping[str, Field]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTemplate:
    """``{event.order_id}/{offset}``: literal text and placeholders, in turn.

    ``parts`` alternates (text, placeholder) pairs; the placeholder of a pair may be empty.
    """

    parts: tuple[tuple[str, str], ...]
    text: str

    def fill(self, values: Mapping[str, str]) -> str:
        """The key with every placeholder replaced. Raises KeyError for a placeholder without a value."""
        return "".join(text + (values[name] if name else "") for text, name in self.parts)


class UnknownCustomerAction(StrEnum):
    """What to do with an event whose customer is not in the store yet."""

    HOLD = "hold"
    CREATE = "create"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """Fires for each event ``event`` on which ``condition`` (about the event) is true."""

    event: str
    condition: tuple[Clause, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTrigger:
    """Fires at wall-clock ``at`` on the days of an RFC 5545 rule, or on one date.

    ``zone`` None means each customer's own; ``calendar`` names a policy calendar: a day off moves to the
    next working day.
    """

    at: time
    zone: str | None
    recurrence: str | None = None
    on_date: date | None = None
    start: date | None = None
    calendar: str | None = None


class Feb29(StrEnum):
    """What a 29 February becomes in other years."""

    FEB28 = "feb28"
    MAR1 = "mar1"
    SKIP = "skip"


class Shift(StrEnum):
    """Where a day off moves to."""

    NEXT = "next"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateTrigger:
    """Fires ``offsets`` calendar days around a date attribute (0d when none are written), at ``at``."""

    attribute: str
    at: time
    zone: str | None
    offsets: tuple[Duration, ...]
    every_year: bool = False
    feb29: Feb29 | None = None
    calendar: str | None = None
    shift: Shift = Shift.NEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptTrigger:
    """Only ``outbound send`` starts the rule; ``arguments`` are the typed arguments of that call."""

    arguments: Mapping[str, ValueType]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTrigger:
    """Fires when ``customer.<attribute>`` gets another value: from ``old`` to ``new`` where they are written."""

    attribute: str
    old: Scalar = None
    new: Scalar = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntersTrigger:
    """Fires when a customer who was not in ``segment`` comes to be in it."""

    segment: str


Trigger = EventTrigger | ScheduleTrigger | DateTrigger | ChangedTrigger | EntersTrigger | ScriptTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAction:
    """Which template on which channels. ``templates`` maps an offset (``-14d``) to a template; "" is any.

    It is empty where the variants of the rule's experiment name the templates.
    """

    templates: Mapping[str, str]
    channels: tuple[ChannelName, ...]
    pace_per_hour: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Exceeding one stops the run until a person approves.

    ``cost`` is in millionths of ``currency``, the one of the policy; ``growth`` is a fraction (0.3 = 30 %).
    """

    recipients: int | None = None
    cost: int | None = None
    currency: str = ""
    growth: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``version`` is the hash of its canonical parsed form: comments and order do not count.

    ``span`` is where its name stands, ``trigger_span`` where its trigger does.
    ``active_from`` and ``active_until`` are days, both included, or instants (UTC), the end excluded.
    """

    id: str
    owner: str
    topic: str
    trigger: Trigger
    who: tuple[Clause, ...]
    once: KeyTemplate
    expires: Duration
    send: SendAction
    version: str
    span: Span
    trigger_span: Span | None = None
    unknown_customer: UnknownCustomerAction = UnknownCustomerAction.HOLD
    unknown_customer_hold: Duration | None = None
    catch_up: Duration | None = None
    limits: Limits | None = None
    experiment: Experiment | None = None
    active_from: datetime | date | None = None
    active_until: datetime | date | None = None
    draft: bool = False

    @property
    def templates(self) -> frozenset[str]:
        """Every template the rule may send: its own and those of its variants."""
        variants = self.experiment.variants.values() if self.experiment else ()
        return frozenset(self.send.templates.values()) | {v.template for v in variants if v.template}
