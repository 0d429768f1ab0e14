"""The backstop against rules that set each other off (fault F53): how long a chain may get, and how much a day holds.

The check refuses rules that feed each other by their own events; what it cannot see, events that another system
sends because of our messages, stops here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.decision import Skip
from outbound.domain.policy import Loops
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import ChangedTrigger, EntersTrigger, EventTrigger, Rule
from outbound.engine.timing.walls import local_day, start_of_day
from outbound.services.planning.clerk import Judged, decided
from outbound.storage import chains

_TOO_DEEP = Reason(ReasonCode.LOOP, "depth")
_TOO_MANY = Reason(ReasonCode.LOOP, "per_day")
_LONGEST_DAY = timedelta(hours=50)
"""A day that began this long ago is over in every zone."""


def is_reactive(rule: Rule) -> bool:
    """Whether the rule answers to what happens, and so could answer to its own messages."""
    return isinstance(rule.trigger, EventTrigger | ChangedTrigger | EntersTrigger)


class Backstop:
    """Counts for one transaction what reactive rules sent each customer today, and stops what is too much."""

    def __init__(self, connection: Connection, limits: Loops, *, now: datetime) -> None:
        self._connection = connection
        self._limits = limits
        self._now = now
        self._made: dict[str, Sequence[datetime]] = {}
        self._today: dict[tuple[str, str], int] = {}

    def passed(self, judged: Sequence[Judged]) -> list[Judged]:
        """The same candidates; whom a loop would reach is skipped, ``loop.depth`` or ``loop.per_day``."""
        self._load([one.customer_id for one in judged if one.context is not None])
        return [self._pass(one) for one in judged]

    def _pass(self, one: Judged) -> Judged:
        if one.context is None:
            return one
        if one.occurrence.depth > self._limits.depth:
            return _stopped(one, _TOO_DEEP)
        zone = one.answer.zone
        key = (one.customer_id, zone.key)
        made = self._today.get(key)
        if made is None:
            begin = start_of_day(local_day(self._now, zone), zone)
            made = sum(begin <= at for at in self._made.get(one.customer_id, ()))
        if made >= self._limits.per_day:
            return _stopped(one, _TOO_MANY)
        self._today[key] = made + 1
        return one

    def _load(self, customers: Sequence[str]) -> None:
        fresh = [identity for identity in dict.fromkeys(customers) if identity not in self._made]
        if fresh:
            since = self._now.astimezone(UTC) - _LONGEST_DAY
            found = chains.reactions(self._connection, fresh, since=since)
            self._made.update((identity, found.get(identity, ())) for identity in fresh)


def _stopped(one: Judged, reason: Reason) -> Judged:
    return Judged(one.once, one.customer_id, one.occurrence, decided(one.answer, Skip(reason=reason)), None)
