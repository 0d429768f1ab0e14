"""The turns of an account that has a rate over all workers, and where its day ends (``domain.pace``)."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from datetime import time as wall_time

from sqlalchemy.engine import Connection

from outbound.domain.message import Lane
from outbound.engine.timing.zones import zone_named
from outbound.services.dispatch.writer import Writer
from outbound.storage import account_rates

_LOOK = 0.05
_NEAR = 0.5
"""A turn that is nearer than this is near enough for a gate to begin."""
_STALE = 1.0
"""A turn this long past is lost: nobody was there to use it."""


def next_day(now: datetime, zone: str) -> tuple[date, datetime]:
    """The day of ``now`` in ``zone``, and when the next one begins."""
    local = now.astimezone(zone_named(zone))
    following = datetime.combine(local.date() + timedelta(days=1), wall_time(), zone_named(zone))
    return local.date(), following.astimezone(now.tzinfo)


class Turns:
    """The turns this worker has reserved at one account that has a rate. Both lanes share them, express first."""

    def __init__(self, account: str, per_second: float, writer: Writer) -> None:
        self._account, self._per_second, self._writer = account, per_second, writer
        self._reserved: deque[float] = deque()
        self._fetching = asyncio.Lock()
        self._express_waits = 0
        self.wanted = False
        """A gate had a message for the account that nobody foresaw: reserve for it."""
        self.waiting: Counter[Lane] = Counter()
        """How many slices of a lane wait for turns: no more is claimed for it meanwhile."""

    def room(self, lane: Lane) -> int:
        """How many messages may pass the gate now, because their turn is near."""
        if lane is Lane.BULK and self._express_waits:
            return 0
        now = time.monotonic()
        while self._reserved and self._reserved[0] < now - _STALE:
            self._reserved.popleft()
        return sum(at <= now + _NEAR for at in self._reserved)

    def take(self, lane: Lane) -> float | None:
        """The next turn, in seconds of ``time.monotonic``; None where there is none near enough."""
        try:
            return self._reserved.popleft() if self.room(lane) else None
        except IndexError:  # the other lane's gate was quicker
            return None

    def give_back(self, at: float) -> None:
        """That turn was not used."""
        self._reserved.appendleft(at)

    async def fetch(self, lane: Lane, *, most: int) -> bool:
        """Reserve some more turns where none is near. False: there are none, try again in a moment."""
        express = lane is Lane.EXPRESS
        self._express_waits += express
        try:
            async with self._fetching:
                if self.room(lane):
                    return True
                if self._reserved and not express:
                    return False
                began = time.monotonic()

                def reserve(connection: Connection) -> list[float]:
                    return account_rates.reserve(
                        connection, self._account, per_second=self._per_second, most=most, express=express
                    )

                turns = await self._writer.write(reserve)
                now = time.monotonic()
                at = now if turns and turns[0] == 0.0 else (began + now) / 2
                self._reserved = deque(sorted([*self._reserved, *(at + seconds for seconds in turns)]))
                return self.room(lane) > 0
        finally:
            self._express_waits -= express


async def fetch(turns: Iterable[Turns], lane: Lane, *, most: int) -> bool:
    """Ask every one of ``turns`` for more; False, after a moment, where none has any near."""
    found = [await one.fetch(lane, most=most) for one in turns]
    if any(found):
        return True
    await asyncio.sleep(_LOOK)
    return False
