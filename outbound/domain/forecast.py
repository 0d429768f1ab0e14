"""What a forecast answers: how many of what, when, to how many people, for how much."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFigures:
    """One rule over the stretch.

    ``entered`` counts the occurrences decided in it, ``sent`` the messages that left, ``held`` those a gate held at
    least once, by the first gate in ``held_by``; ``skipped`` what ended unsent, by reason in ``skipped_by``;
    ``waiting`` what is still queued when it ends. ``cost`` is in millionths of the currency. ``silence`` says why a
    rule decided about nobody, "" where it did.
    """

    rule: str
    entered: int = 0
    sent: int = 0
    held: int = 0
    skipped: int = 0
    waiting: int = 0
    per_person_max: int = 0
    cost: int = 0
    held_by: Mapping[str, int] = field(default_factory=dict)
    skipped_by: Mapping[str, int] = field(default_factory=dict)
    silence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """What leaves on one day (of ``Forecast.zone``) on one channel. ``cost`` is in millionths."""

    day: date
    channel: str
    messages: int
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourFigures:
    """What leaves in one hour, given by its beginning in ``Forecast.zone``."""

    hour: datetime
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The figures of a stretch from ``start`` to ``until`` (UTC), days and hours in ``zone``.

    ``people`` says how many customers get so many messages, 0 included; ``most`` who gets the most. ``release`` is
    the id of what was lived with. Hours and days in which nothing leaves are not listed.
    """

    release: str
    start: datetime
    until: datetime
    zone: str
    currency: str
    rules: tuple[RuleFigures, ...]
    days: tuple[DayFigures, ...]
    hours: tuple[HourFigures, ...]
    people: Mapping[int, int]
    most: tuple[tuple[str, int], ...]

    @property
    def sent(self) -> int:
        """Messages that left."""
        return sum(one.sent for one in self.rules)

    @property
    def cost(self) -> int:
        """What they cost, in millionths."""
        return sum(one.cost for one in self.rules)

    @property
    def channels(self) -> dict[str, tuple[int, int]]:
        """Messages and their cost in millionths by channel."""
        found: dict[str, tuple[int, int]] = {}
        for one in self.days:
            messages, cost = found.get(one.channel, (0, 0))
            found[one.channel] = (messages + one.messages, cost + one.cost)
        return dict(sorted(found.items()))

    @property
    def busiest(self) -> HourFigures | None:
        """The hour in which most leaves, the first of several; None where nothing does."""
        return max(self.hours, key=lambda one: one.messages, default=None)

    @property
    def held_by(self) -> dict[str, int]:
        """Messages held at least once, by the first gate that held, most first."""
        return _sum(one.held_by for one in self.rules)

    @property
    def skipped_by(self) -> dict[str, int]:
        """What ended unsent, by reason, most first."""
        return _sum(one.skipped_by for one in self.rules)


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in parts:
        total.update(one)
    return dict(total.most_common())
