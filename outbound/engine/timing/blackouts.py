"""Blackouts: stretches in which nothing of some classes leaves, whatever the person's zone."""

from datetime import datetime
from functools import lru_cache

from outbound.domain.policy import Blackout, Policy
from outbound.engine.timing.walls import resolve_wall, utc
from outbound.engine.timing.zones import zone_named


def blackout_at(instant: datetime, *, policy: Policy, message_class: str) -> tuple[Blackout, datetime] | None:
    """The blackout that stops ``message_class`` at ``instant`` and when the class is free again (UTC); None when it is.

    Blackouts that overlap or touch are one: the end is that of the last.
    """
    concerned = [b for b in policy.blackouts if not b.classes or message_class in b.classes]
    first: Blackout | None = None
    until = utc(instant)
    moved = True
    while moved:
        moved = False
        for blackout in concerned:
            start, end = _instants(blackout, policy.timezone)
            if start <= until < end:
                first, until, moved = first or blackout, end, True
    return None if first is None else (first, until)


@lru_cache(maxsize=1024)
def _instants(blackout: Blackout, timezone: str) -> tuple[datetime, datetime]:
    """Start and end of a blackout as instants: half-open, wall clock in the policy's zone."""
    zone = zone_named(timezone)
    return resolve_wall(blackout.start, zone), resolve_wall(blackout.end, zone)
