"""The complaint rate, by which mail programs decide whether they still take our mail (C15)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

WINDOW: Final = timedelta(days=7)
GOOD: Final = 0.001
"""Google asks senders to stay below 0.1 %."""
MOST: Final = 0.003
"""At 0.3 % Google and Yahoo stop taking the mail of a bulk sender."""
ENOUGH: Final = 3
"""Fewer complaints than that are no rate: one in fifty mails is one person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaints:
    """Of ``mails`` that were accepted within ``WINDOW``, ``complained`` were called spam."""

    complained: int = 0
    mails: int = 0

    @property
    def rate(self) -> float:
        """The share, 0 to 1."""
        return min(1.0, self.complained / max(1, self.mails))

    @property
    def high(self) -> bool:
        """Whether it is above what mail programs ask for."""
        return self.complained >= ENOUGH and self.rate >= GOOD

    @property
    def alarming(self) -> bool:
        """Whether it is where mail programs stop taking mail."""
        return self.complained >= ENOUGH and self.rate >= MOST

    def text(self) -> str:
        """``0.12 % of 25,000 mails in 7 days (30)``."""
        return f"{percent(self.rate)} of {self.mails:,} mails in {WINDOW.days} days ({self.complained:,})"


def percent(share: float) -> str:
    """``0.12 %``."""
    return f"{share * 100:.2f} %"
