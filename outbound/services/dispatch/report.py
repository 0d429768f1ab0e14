"""What one slice did, in numbers."""

from collections import Counter
from dataclasses import dataclass, field

from outbound.domain.message import MessageState


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """``claimed`` messages were taken; ``states`` is where they went, by state.

    ``ready`` among the states means: given back unspent, or to be retried. ``late`` results came after the
    lease was lost and moved nothing.
    """

    claimed: int = 0
    states: dict[MessageState, int] = field(default_factory=dict)
    late: int = 0

    @property
    def sent(self) -> int:
        """How many a provider accepted."""
        return self.states.get(MessageState.SENT, 0)


@dataclass(slots=True)
class Tally:
    """The same while it is being counted."""

    claimed: int = 0
    late: int = 0
    states: Counter[MessageState] = field(default_factory=Counter)

    def report(self) -> SliceReport:
        """The counts so far."""
        return SliceReport(claimed=self.claimed, states={s: n for s, n in self.states.items() if n}, late=self.late)
