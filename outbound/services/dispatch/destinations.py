"""The connections of one account among its destinations: one that is slow keeps a few, and holds nobody else up (F32).

All times are seconds of ``time.monotonic``.
"""

import asyncio
import time
from collections import OrderedDict, deque
from statistics import median

_NOTICEABLE = 0.5
"""Who answers sooner is never slow."""
_TIMES = 5
"""So many times as long as the others take is slow."""
_FEWEST, _REMEMBERED = 3, 60.0
"""How many answers of others it takes to compare, and how old they may be."""
_WEIGHT = 0.3
_SPARED = 5
"""A fifth of the connections: what a slow destination keeps, and what a quick one leaves to the others."""
_LOOK = 0.1
_DOMAINS = 5_000


class Destinations:
    """Who has how many of an account's ``count`` connections. Whether one is slow is relative to the others.

    Where there is one destination alone it has every connection. Where there are others it leaves them a fifth,
    so that they go on when all of its connections begin to hang at the same moment.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._started: dict[str, list[float]] = {}
        self._seconds: OrderedDict[str, float] = OrderedDict()
        self._answers: deque[tuple[str, float, float]] = deque(maxlen=32)

    def slow(self, domain: str) -> bool:
        """Whether it takes much longer than the others do, or hangs while they answer."""
        now = time.monotonic()
        mine = max(self._seconds.get(domain, 0.0), now - min(self._started.get(domain) or [now]))
        if mine < _NOTICEABLE:
            return False
        others = self._others(domain, now)
        return len(others) >= _FEWEST and mine > _TIMES * median(others)

    def full(self, domain: str, *, more: int = 0) -> bool:
        """Whether it has as many connections as it may, ``more`` that are about to begin included."""
        return len(self._started.get(domain, ())) + more >= self._most(domain)

    async def room(self, domain: str, *, within: float) -> bool:
        """Wait up to ``within`` seconds until it may have one more. False at once where it is slow."""
        until = time.monotonic() + within
        while self.full(domain):
            if self.slow(domain) or time.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK)
        return True

    def begin(self, domain: str) -> float:
        """One more of its deliveries begins. Answers what ``end`` wants."""
        started = time.monotonic()
        self._started.setdefault(domain, []).append(started)
        return started

    def end(self, domain: str, started: float, *, answered: bool) -> None:
        """That delivery is over."""
        running = self._started[domain]
        running.remove(started)
        if not running:
            del self._started[domain]
        if not answered:
            return
        now = time.monotonic()
        before = self._seconds.pop(domain, now - started)
        self._seconds[domain] = before + _WEIGHT * (now - started - before)
        self._answers.append((domain, now - started, now))
        if len(self._seconds) > _DOMAINS:
            self._seconds.popitem(last=False)

    def _most(self, domain: str) -> int:
        spared = max(self._count // _SPARED, 1)
        if self.slow(domain):
            return spared
        if self._count < _SPARED or not self._others(domain, time.monotonic()):
            return self._count
        return self._count - max(spared, 2)

    def _others(self, domain: str, now: float) -> list[float]:
        return [seconds for other, seconds, at in list(self._answers) if other != domain and at > now - _REMEMBERED]
