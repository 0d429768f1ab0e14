"""Whether somebody reached an experiment's goal after they were exposed.

A window of a goal looks forward: ``happened(order.placed, within 14d)`` asks for the 14 days after the exposure, in the
customer's zone, and nothing that came before it counts. The rest of a goal (attributes) is judged as it is now.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from outbound.domain.condition import Clause, Condition, Count, Happened, Path
from outbound.domain.customer import Event, Scalar
from outbound.domain.durations import Duration
from outbound.domain.source import Span
from outbound.domain.windows import window_start
from outbound.engine.conditions import evaluate
from outbound.engine.conditions.facts import Facts


class Goal:
    """One experiment's goal, ready to be asked about many people.

    The conditions' own evaluation does the work: each look back becomes one without a window at events of a name of
    its own, and a person's history holds, under that name, the events inside the window that looks forward.
    """

    def __init__(self, clauses: Sequence[Clause]) -> None:
        self._windows: dict[str, tuple[str, Duration | None]] = {}
        turned = [replace(clause, condition=self._turned(clause.condition)) for clause in clauses]
        self._test = evaluate(turned)
        self.reads_customer = any(_reads_attributes(clause.condition) for clause in clauses)
        """Whether it asks for more than what happened: an attribute may change at any time."""

    @property
    def events(self) -> frozenset[str]:
        """The names of the events it looks at."""
        return frozenset(name for name, _ in self._windows.values())

    def reached(
        self,
        customer: Mapping[str, Scalar],
        history: Sequence[Event],
        *,
        exposed_at: datetime,
        now: datetime,
        zone: ZoneInfo,
    ) -> bool:
        """Whether the goal holds for somebody exposed at ``exposed_at``, by what is known at ``now``."""
        seen = [
            replace(event, name=marked)
            for marked, (name, within) in self._windows.items()
            for event in history
            if event.name == name and exposed_at < event.at <= _end(exposed_at, within, zone, now)
        ]
        today = now.astimezone(zone).date()
        return self._test(Facts(customer=customer, history=seen, now=now, today=today, zone=zone)) is True

    def open(self, exposed_at: datetime, *, now: datetime, zone: ZoneInfo) -> bool:
        """Whether what happens after ``now`` may still change the answer."""
        if self.reads_customer or any(within is None for _, within in self._windows.values()):
            return True
        return any(
            window_start(exposed_at, _forward(within), zone) > now
            for _, within in self._windows.values()
            if within is not None
        )

    def _turned(self, condition: Condition) -> Condition:
        turned: Condition = _mapped(condition, self._mark)
        return turned

    def _mark(self, part: Happened | Count) -> Happened | Count:
        marked = f"{part.event} within {part.within}"
        self._windows[marked] = (part.event, part.within)
        return replace(part, event=marked, within=None)


def _mapped(node: Any, mark: Any) -> Any:
    """The tree with every look back replaced, wherever it stands."""
    if isinstance(node, Happened | Count):
        return mark(node)
    if isinstance(node, tuple):
        return tuple(_mapped(part, mark) for part in node)
    if isinstance(node, Span) or not is_dataclass(node) or isinstance(node, type):
        return node
    return replace(node, **{f.name: _mapped(getattr(node, f.name), mark) for f in fields(node)})


def _reads_attributes(condition: Condition) -> bool:
    return any(isinstance(part, Path) for part in _parts(condition))


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node, Happened | Count):
        return
    if isinstance(node, tuple):
        for part in node:
            yield from _parts(part)
    elif is_dataclass(node) and not isinstance(node, Span):
        yield node
        for field in fields(node):
            yield from _parts(getattr(node, field.name))


def _end(exposed_at: datetime, within: Duration | None, zone: ZoneInfo, now: datetime) -> datetime:
    return now if within is None else min(now, window_start(exposed_at, _forward(within), zone))


def _forward(within: Duration) -> Duration:
    return Duration(-within.amount, within.unit)
