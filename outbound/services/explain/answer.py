"""What an explanation is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from outbound.domain.customer import Scalar
from outbound.engine.conditions.explain import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One question on the way up the ladder. ``verdict``: yes, no, or None for what nobody can know.

    ``because`` holds the values that decided, ``place`` is where the rule or the policy says so (``file:line``), and
    ``parts`` are those of a condition.
    """

    gate: str
    verdict: bool | None
    text: str
    because: str = ""
    place: str = ""
    parts: tuple[Explanation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where it ends. ``decision`` is send, hold, skip, done (decided before), or none where nothing is due.

    ``at`` is when the message leaves, or may leave at the earliest, or left; ``expires`` when it is worthless, both
    with the offset of the customer's clock. Of what is done ``reason`` is the state of the message and its reason.
    """

    decision: str
    reason: str = ""
    at: datetime | None = None
    expires: datetime | None = None
    channels: tuple[str, ...] = ()
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was decided under one key before, or that a run passed the customer by (``verdict`` is then miss).

    ``release`` and ``version`` are those that decided, ``values`` the attributes that the rule read, as they were
    then, ``who`` its conditions asked again with them. ``state``, ``channel`` and ``sent_at`` are the message's.
    ``place`` is the line that was not true.
    """

    at: datetime
    run: str
    once: str
    verdict: str
    release: str
    version: str
    reason: str = ""
    state: str = ""
    channel: str = ""
    sent_at: datetime | None = None
    held_by: str = ""
    variant: str = ""
    place: str = ""
    values: Mapping[str, Scalar] | None = None
    who: tuple[Line, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One rule and one customer. ``at`` is the moment asked about, ``due`` that of the occurrence in question.

    ``zone`` is the one of the wall clock and ``zone_from`` where it comes from. ``message`` is the id of the waiting
    message that the ladder was asked about, "" for one that does not exist yet. ``what_if`` are values that were
    assumed.
    """

    rule: str
    version: str
    release: str
    topic: str
    customer: str
    at: datetime
    zone: str
    zone_from: str
    due: datetime | None
    once: str
    message: str
    lines: tuple[Line, ...]
    outcome: Outcome
    before: tuple[Before, ...] = ()
    what_if: Mapping[str, Scalar] | None = None
