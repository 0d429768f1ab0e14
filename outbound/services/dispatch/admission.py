"""Whether the account and the destination take one more message now: the last thing a gate asks.

Called inside the gate's transaction, after the ladder: what is admitted here begins its attempt.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.message import Message
from outbound.services.dispatch.breaker import Breaker
from outbound.services.dispatch.breakers import Key, domain_for
from outbound.services.dispatch.kit import Kit, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """It may try now. ``probes`` are the pauses that end if it is answered."""

    domain: str
    probes: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Nothing is taken before ``until``: back to ready, unspent."""

    until: datetime


class Admission:
    """The admissions of one gate."""

    def __init__(self, slice_: Slice, kit: Kit, connection: Connection) -> None:
        self._slice, self._kit, self._connection = slice_, kit, connection
        self._now = slice_.moment()
        kit.breakers.adopt(connection, self._now)

    def admit(self, _message: Message, channel: ChannelName, account: str, address: str) -> Admitted | Later:
        """Ask for one message. What is admitted counts at once."""
        domain = domain_for(channel, address)
        hurdles = self._kit.breakers.of(account, domain)
        waiting = [breaker.retry_at(self._now) for _, breaker in hurdles if breaker.waits(self._now)]
        if waiting:
            return Later(until=max(waiting))
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
        return Admitted(domain=domain, probes=tuple(probes))
