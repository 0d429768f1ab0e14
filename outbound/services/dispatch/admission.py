"""Whether the account and the destination take one more message now: the last thing a gate asks.

Called inside the gate's transaction, after the ladder: what is admitted here begins its attempt.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.message import Lane, Message
from outbound.domain.reasons import Reason, ReasonCode
from outbound.services.dispatch.breaker import Breaker
from outbound.services.dispatch.breakers import Key, domain_for
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.pace import next_day
from outbound.storage import account_days

_TURN = timedelta(seconds=1)
_SLOW = timedelta(seconds=10)
"""How long a message waits for a slow destination that has all the connections it may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """It may try now. ``probes`` are the pauses that end if it is answered; the rest is as in ``Passed``."""

    domain: str
    probes: tuple[Key, ...] = ()
    turn: float | None = None
    counted_on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Nothing is taken before ``until``: back to ready, unspent. With a ``reason`` it is held."""

    until: datetime
    reason: Reason | None = None


class Admission:
    """The admissions of one gate."""

    def __init__(self, slice_: Slice, kit: Kit, connection: Connection, *, zone: str) -> None:
        self._slice, self._kit, self._connection = slice_, kit, connection
        self._now = slice_.moment()
        self._begun: Counter[Key] = Counter()
        kit.breakers.adopt(connection, self._now)
        self._left: dict[str, int] = {}
        self._counted: Counter[str] = Counter()
        self._day, self._tomorrow = "", self._now
        if kit.warm_ups:
            self._open_day(zone)

    def admit(self, message: Message, channel: ChannelName, account: str, address: str) -> Admitted | Later:
        """Ask for one message. What is admitted counts at once."""
        domain = domain_for(channel, address)
        hurdles = self._kit.breakers.of(account, domain)
        waiting = [breaker.retry_at(self._now) for _, breaker in hurdles if breaker.waits(self._now)]
        if waiting:
            return Later(until=max(waiting))
        destinations = self._kit.destinations[account]
        if domain and destinations.slow(domain) and destinations.full(domain, more=self._begun[account, domain]):
            return Later(until=self._now + _SLOW)
        if message.lane is Lane.BULK and self._left.get(account, 1) <= 0:
            return Later(until=self._tomorrow, reason=Reason(ReasonCode.PROVIDER, "warm_up"))
        turns = self._kit.turns.get(account)
        turn = turns.take(message.lane) if turns else None
        if turns is not None and turn is None:
            turns.wanted = True
            return Later(until=self._now + _TURN)
        probes = self._pass(hurdles)
        if isinstance(probes, Later):
            if turns is not None and turn is not None:
                turns.give_back(turn)
            return probes
        self._begun[account, domain] += 1
        counted_on = ""
        if account in self._left:
            self._left[account] -= 1
            self._counted[account] += 1
            counted_on = self._day
        return Admitted(domain=domain, probes=probes, turn=turn, counted_on=counted_on)

    def count(self) -> None:
        """Write down what was admitted, where a day is counted."""
        for account, count in sorted(self._counted.items()):
            account_days.add(self._connection, account, self._day, count)

    def _open_day(self, zone: str) -> None:
        """What is left of today for the accounts that are being warmed up."""
        day, self._tomorrow = next_day(self._now, zone)
        self._day = day.isoformat()
        most = {account: warm_up.maximum(day) for account, warm_up in self._kit.warm_ups.items()}
        limited = {account: one for account, one in most.items() if one is not None}
        used = account_days.lock(self._connection, limited, self._day)
        for account, one in limited.items():
            back = self._kit.refunds.pop((account, self._day), 0)
            self._counted[account] -= back
            self._left[account] = one - used[account] + back

    def _pass(self, hurdles: Sequence[tuple[Key, Breaker]]) -> tuple[Key, ...] | Later:
        """Take the breakers one after the other; which of them are probed."""
        probes: list[Key] = []
        admitted: list[Breaker] = []
        for key, breaker in hurdles:
            probe = breaker.open
            passes = breaker.admits(self._now)
            if passes:
                admitted.append(breaker)
            if passes and probe:
                probes.append(key)
                self._slice.probes.append(key)
            if not passes or (probe and not self._kit.breakers.take_probe(self._connection, key, self._now)):
                until = breaker.retry_at(self._now)
                for one in admitted:
                    one.withdraw_probe()
                    one.untried()
                return Later(until=until)
        return tuple(probes)
