"""Durations as rule files write them: ``30m`` and ``48h`` are elapsed time, ``3d``, ``2w``, ``1mo`` calendar steps."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class DurationUnit(StrEnum):
    """Minutes and hours (and seconds in policy) elapse; days, weeks and months step the calendar."""

    SECOND = "s"
    MINUTE = "m"
    HOUR = "h"
    DAY = "d"
    WEEK = "w"
    MONTH = "mo"


_ELAPSED = {DurationUnit.SECOND: 1, DurationUnit.MINUTE: 60, DurationUnit.HOUR: 3600}


@dataclass(frozen=True, slots=True)
class Duration:
    """``amount`` units; negative amounts are offsets before a date. Added to instants by ``engine.timing``."""

    amount: int
    unit: DurationUnit

    @property
    def elapsed(self) -> timedelta | None:
        """The exact length, or None for a calendar step, whose length depends on where it starts."""
        seconds = _ELAPSED.get(self.unit)
        return None if seconds is None else timedelta(seconds=self.amount * seconds)

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"
