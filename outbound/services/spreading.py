"""Turns for messages that became due all at once: a return never bursts (rules.md 1.9, Pace). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from outbound.storage.paused_messages import Waiting

APART = timedelta(seconds=1)
"""How far apart bulk messages of rules without a pace leave ..."""
WITHIN = timedelta(hours=2)
"""... and how long that takes at most, however many they are."""
_MARGIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """``turns`` are the messages that get another time than they have, ``last`` the last of those that were held.

    ``late`` are held messages that the rule's pace cannot take before they expire.
    """

    turns: tuple[tuple[str, datetime], ...]
    last: datetime
    late: int = 0


def paced(waiting: Sequence[Waiting], per_hour: int, *, now: datetime) -> Turns:
    """At most ``per_hour``: the held first, and whose turn is still to come moves behind them."""
    step = timedelta(hours=1) / per_hour
    turns: list[tuple[str, datetime]] = []
    last, late, free = now, 0, now
    for one in waiting:
        moment = max(now if one.held else one.opening, free)
        free = moment + step
        if one.held:
            last = max(last, moment)
            late += now < one.expires <= moment
        if one.held or moment > one.opening:
            turns.append((one.id, moment))
    return Turns(turns=tuple(turns), last=last, late=late)


def step_for(count: int) -> timedelta:
    """How far apart ``count`` messages without a pace leave."""
    return min(APART, WITHIN / max(count, 1))


def spread(waiting: Sequence[Waiting], step: timedelta, *, start: datetime, now: datetime) -> Turns:
    """One after the other from ``start`` on, but nobody later than they are worth something."""
    turns = []
    for number, one in enumerate(waiting):
        moment = start + number * step
        turns.append((one.id, max(min(moment, one.expires - _MARGIN), now)))
    return Turns(turns=tuple(turns), last=max((at for _, at in turns), default=now))
