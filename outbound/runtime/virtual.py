"""``outbound run --at T --until T2``: the same service on a clock that jumps from one due moment to the next."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from outbound.app import App
from outbound.domain.message import Lane
from outbound.services import planning, releases

_STEP = timedelta(minutes=1)
"""Two moments are at least this far apart, so that a rule that is always due cannot stop the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualReport:
    """How far the clock got and how often it stopped to work."""

    until: datetime
    moments: int
    claimed: int


class VirtualClock:
    """A clock that stands still until it is set. Call it for the time (UTC)."""

    def __init__(self, at: datetime) -> None:
        self.now = at

    def __call__(self) -> datetime:
        """The time it stands at."""
        return self.now


async def run_virtual(
    app: App, clock: VirtualClock, *, until: datetime, progress: Callable[[datetime], None] = lambda _: None
) -> VirtualReport:
    """Run the service from the clock's time to ``until`` (UTC) without waiting. Every adapter must be the mailbox."""
    dispatcher = app.dispatcher()
    moments = claimed = 0
    now = clock.now
    try:
        while now <= until:
            active = await asyncio.to_thread(releases.active, app.database)
            if active is None:
                break
            await dispatcher.recover(now=now)
            await asyncio.to_thread(planning.plan_due, app.database, active, now=now, keyring=app.links.keyring)
            for lane in Lane:
                while (report := await dispatcher.run_slice(lane, now=now)).claimed:
                    claimed += report.claimed
            moments += 1
            progress(now)
            due = await asyncio.to_thread(planning.next_due, app.database, active, now=now)
            if due is None:
                break
            now = clock.now = max(due, now + _STEP)
    finally:
        await dispatcher.close()
    return VirtualReport(until=until, moments=moments, claimed=claimed)
