"""``outbound run --at T --until T2``: the same service on a clock that jumps from one due moment to the next."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from outbound.app import App
from outbound.domain.message import Lane, MessageState
from outbound.services import planning, receipts, releases, uncertain
from outbound.services.dispatch import Dispatcher, DispatchSettings
from outbound.services.status import status

log = structlog.get_logger("outbound.daemon")

_LEASE_POLL = timedelta(seconds=0.5)
_RECORDING = timedelta(seconds=2)

_STEP = timedelta(minutes=1)
"""Two moments are at least this far apart, so that a rule that is always due cannot stop the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualReport:
    """How far the clock got and how often it stopped to work.

    ``planned`` is what planning made meanwhile, ``spent`` what providers accepted by channel, in millionths of
    ``currency``.
    """

    until: datetime
    moments: int
    claimed: int
    planned: planning.Counts
    spent: Mapping[str, int]
    currency: str


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
    """Run the service from the clock's time to ``until`` (UTC) without waiting. Every adapter must be the mailbox.

    Raises OutboundError ``release.none`` where nothing was published.
    """
    dispatcher = app.dispatcher()
    moments = claimed = 0
    planned, before = planning.Counts(), status(app.database, now=clock.now).spent
    now = clock.now
    try:
        await _after_a_crash(app, dispatcher, now)
        while now <= until:
            active = await asyncio.to_thread(releases.running, app.database)
            report = await asyncio.to_thread(
                planning.plan_due, app.database, active, now=now, keyring=app.links.keyring
            )
            planned.add(report.counts)
            channels = app.reporting_channels()
            await asyncio.to_thread(receipts.move_on, app.database, active.ruleset.policy, channels, now=now)
            await asyncio.to_thread(uncertain.close_old, app.database, now=now)
            claimed += await _dispatch(dispatcher, now)
            moments += 1
            progress(now)
            due = await asyncio.to_thread(planning.next_due, app.database, active, now=now)
            if due is None:
                break
            now = clock.now = max(due, now + _STEP)
    finally:
        await dispatcher.close()
    after = status(app.database, now=clock.now)
    spent = {channel: cost - before.get(channel, 0) for channel, cost in after.spent.items()}
    return VirtualReport(
        until=until, moments=moments, claimed=claimed, planned=planned, spent=spent, currency=after.currency
    )


async def _dispatch(dispatcher: Dispatcher, now: datetime) -> int:
    claimed = 0
    for lane in Lane:
        while (report := await dispatcher.run_slice(lane, now=now)).claimed:
            claimed += report.claimed
    return claimed


async def _after_a_crash(app: App, dispatcher: Dispatcher, now: datetime) -> None:
    """Take back what a killed process held. Its leases end in real time, whatever this clock says."""

    def held() -> bool:
        states = status(app.database, now=now).states
        return any(states.get(state.value, 0) for state in (MessageState.CLAIMED, MessageState.SENDING))

    await dispatcher.recover(now=now)
    patience = DispatchSettings().lease + _RECORDING  # a daemon beside us holds some all the time: those are its own
    if await asyncio.to_thread(held):
        log.warning("waiting for the leases of a process that died", seconds=patience.total_seconds())
    for _ in range(int(patience / _LEASE_POLL)):
        if not await asyncio.to_thread(held):
            break
        await asyncio.sleep(_LEASE_POLL.total_seconds())
        await dispatcher.recover(now=now)
