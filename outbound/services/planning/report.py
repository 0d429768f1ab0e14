"""What one pass of planning did."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Counts:
    """Of one batch or the sum of several. ``already`` were decided before and are no candidates again.

    ``channels`` counts the messages by channel, ``held`` and ``skipped_by`` by reason. ``costs`` is what they will
    cost by channel, in millionths of the policy's currency, each SMS as long as the longest sample of its template.
    ``outside`` are the customers of a batch whom the rule's experiment does not cover; a sum has none. ``limited`` are
    the runs (RULE/SLOT) that wait for approval, with the limit they exceed. Mutable: batches add up.
    """

    candidates: int = 0
    messages: int = 0
    skipped: int = 0
    already: int = 0
    channels: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    skipped_by: Counter[str] = field(default_factory=Counter)
    costs: Counter[str] = field(default_factory=Counter)
    outside: tuple[str, ...] = ()
    limited: dict[str, str] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """What the messages will cost together, in millionths."""
        return self.costs.total()

    def add(self, other: "Counts") -> None:
        """Add ``other`` to this."""
        self.candidates += other.candidates
        self.messages += other.messages
        self.skipped += other.skipped
        self.already += other.already
        self.channels.update(other.channels)
        self.held.update(other.held)
        self.skipped_by.update(other.skipped_by)
        self.costs.update(other.costs)
        self.limited.update(other.limited)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A slot that planning came to too late: ``note`` says why it was not run (also kept on the firing row)."""

    rule: str
    slot: str
    zone: str
    nominal: datetime
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """One pass: the sums, how many events were handled, and what was missed."""

    counts: Counts
    events: int = 0
    firings: int = 0
    missed: tuple[Missed, ...] = ()
