"""How fast an account may be used: a rate over all workers, and a daily maximum while a sender is warmed up."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

_PER: Final = {"s": 1, "min": 60, "h": 3600}
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)/(s|min|h)")
_UNLIMITED: Final = 1_000_000
_LONGEST: Final = 400


def parse_rate(text: str) -> float | None:
    """Messages per second of ``20/s``, ``100/min`` or ``500/h``; None for "". Raises ValueError for anything else."""
    if not text:
        return None
    found = _RATE.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError('write a rate as "20/s", "100/min" or "500/h"')
    return float(found[1]) / _PER[found[2]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """A new sender: ``first_day`` messages on the day ``start`` (and before), each day ``growth`` times as many."""

    start: date
    first_day: int
    growth: float

    def maximum(self, day: date) -> int | None:
        """How many messages may leave on ``day``; None once there is no limit worth the name."""
        days = min(max((day - self.start).days, 0), _LONGEST)
        most = 0.0 + self.first_day
        for _ in range(days):
            most *= self.growth
            if most >= _UNLIMITED:
                return None
        return int(most)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPace:
    """``rate`` is in messages per second over all workers (None: as fast as it goes)."""

    rate: float | None = None
    warm_up: WarmUp | None = None
