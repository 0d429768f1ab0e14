"""How many deliveries each account takes at once, how long they take, and so how many messages may pass the gate."""

import asyncio
import time

from outbound.domain.message import Lane

_WEIGHT = 0.2
"""Of the newest delivery in the time that deliveries take."""
_SLOW = 0.25
"""Of the greatest age of a gate: who takes longer is slow."""
_STUCK = 2.0
"""Likewise: where nothing moved for so long, no more messages are claimed."""


class Slots:
    """The slots of one account. ``freed`` is set whenever one is given back; ``gate_age`` as in DispatchSettings.

    A quick account has messages gated ahead of their turn. One that is slow, or not known yet, has as many
    gated as can leave at once, and in the bulk lane one less: express messages never wait for a slow newsletter.
    """

    def __init__(self, count: int, freed: asyncio.Event, *, gate_age: float) -> None:
        self._count = self._free = count
        self._semaphore = asyncio.Semaphore(count)
        self._freed = freed
        self._gate_age = gate_age
        self._seconds: float | None = None
        self._moved = time.monotonic()

    @property
    def slow(self) -> bool:
        """Whether a message that is gated now and waits for its turn might be gated too early."""
        limit = _SLOW * self._gate_age
        return self._seconds is None or self._seconds > limit or self._standing() > limit

    @property
    def stuck(self) -> bool:
        """Whether every slot is taken and none has come free for a while."""
        return self._standing() > _STUCK * self._gate_age

    def room(self, lane: Lane, *, most: int) -> int:
        """How many messages of ``lane`` may pass the gate now, ``most`` at most."""
        if not self.slow:
            return most
        spared = 1 if lane is Lane.BULK and self._count > 1 else 0
        return max(min(self._free - spared, most), 0)

    async def take(self, *, within: float) -> bool:
        """Wait ``within`` seconds for a slot. False: none came free, or there was no time to wait."""
        if within <= 0:
            return False
        if self._semaphore.locked():
            try:
                async with asyncio.timeout(within):
                    await self._semaphore.acquire()
            except TimeoutError:
                return False
        else:
            await self._semaphore.acquire()  # at once
        self._free -= 1
        self._moved = time.monotonic()
        return True

    def give(self, *, seconds: float | None = None) -> None:
        """Give a slot back, with the seconds its delivery took (None: nothing was tried)."""
        if seconds is not None:
            before = seconds if self._seconds is None else self._seconds
            self._seconds = before + _WEIGHT * (seconds - before)
        self._free += 1
        self._moved = time.monotonic()
        self._semaphore.release()
        self._freed.set()

    def _standing(self) -> float:
        return 0.0 if self._free else time.monotonic() - self._moved
