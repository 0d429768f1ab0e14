"""The breakers of every account and destination, and how workers tell each other (table ``breaker``).

What the others know is read in the transactions of the claim and the gate; what is new is written once, when it
happens. So a healthy installation pays one small SELECT for a chunk of messages.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.outcome import Outcome
from outbound.services.dispatch.breaker import Breaker, DomainBreaker
from outbound.services.dispatch.writer import Writer
from outbound.storage import breakers as stored
from outbound.storage.breakers import Pause

log = structlog.get_logger("outbound.dispatch")

Key = tuple[str, str]
"""The account, and the domain or an empty string for the account itself."""

_REMEMBERED = 5_000
"""Destinations about which something is known; the one not heard of for longest is forgotten."""
_PROBE = timedelta(minutes=1)
"""How long other workers wait for a probe, at least."""


def domain_for(channel: ChannelName, address: str) -> str:
    """The destination of an e-mail; other channels have none."""
    return address.rpartition("@")[2].casefold() if channel is ChannelName.EMAIL else ""


class Breakers:
    """Belongs to one dispatcher. Index with an account for the account's own."""

    def __init__(self, accounts: Iterable[str], writer: Writer) -> None:
        self._accounts = {name: Breaker() for name in accounts}
        self._domains: OrderedDict[Key, DomainBreaker] = OrderedDict()
        self._writer = writer
        self._told: dict[Key, int] = {}
        self._known: frozenset[Key] = frozenset()

    def __getitem__(self, account: str) -> Breaker:
        """The breaker of an account."""
        return self._accounts[account]

    def of(self, account: str, domain: str) -> tuple[tuple[Key, Breaker], ...]:
        """What a message to ``domain`` has to pass: the account, and the destination where anything is known of it."""
        ours: tuple[tuple[Key, Breaker], ...] = (((account, ""), self._accounts[account]),)
        found = self._domains.get((account, domain)) if domain else None
        return ours if found is None else (*ours, ((account, domain), found))

    def adopt(self, connection: Connection, now: datetime) -> None:
        """Read what the other workers wrote."""
        standing = {(pause.account, pause.domain): pause for pause in stored.standing(connection)}
        for key, pause in standing.items():
            if key[0] in self._accounts:
                seconds = timedelta(seconds=pause.seconds)
                self._find(key).adopt(pause.until, seconds, now)
        for key in self._known - standing.keys():
            if self._is_told(key):  # else it is ours, and not written yet
                self._find(key).adopt(None, _PROBE, now)
        self._known = frozenset(key for key in standing if key[0] in self._accounts)

    def take_probe(self, connection: Connection, key: Key, now: datetime) -> bool:
        """Whether the message that ``admits`` chose is the only probe of all workers."""
        until = now + max(self._find(key).pause_before, _PROBE)
        return stored.take_probe(connection, *key, now=now, until=until)

    async def hear(self, account: str, domain: str, outcome: Outcome, now: datetime) -> None:
        """Learn from an outcome, and tell the others what changed."""
        own = self._accounts[account]
        if own.heard(outcome, now, domain=domain):
            log.warning("account paused", adapter=account, code=outcome.code, enhanced=outcome.enhanced)
        changed = [((account, ""), own)] if own.version != self._told.get((account, ""), 0) else []
        if domain:
            key = (account, domain)
            theirs = self._find(key)
            if theirs.heard(outcome, now, domain=domain):
                log.warning("destination paused", adapter=account, code=outcome.code, enhanced=outcome.enhanced)
            if theirs.version != self._told.get(key, 0):
                changed.append((key, theirs))
        if changed:
            await self._tell(changed, outcome, now)

    async def withdraw(self, probes: Sequence[Key]) -> None:
        """Let others probe where these never tried."""
        idle = [key for key in probes if self._find(key).withdraw_probe()]
        if idle:
            await self._writer.write(lambda connection: stored.give_probes(connection, idle))

    def _find(self, key: Key) -> Breaker:
        account, domain = key
        if not domain:
            return self._accounts[account]
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = DomainBreaker()
            if len(self._domains) > _REMEMBERED:
                self._told.pop(self._domains.popitem(last=False)[0], None)
        else:
            self._domains.move_to_end(key)
        return found

    def _is_told(self, key: Key) -> bool:
        return self._find(key).version == self._told.get(key, 0)

    async def _tell(self, changed: Sequence[tuple[Key, Breaker]], outcome: Outcome, now: datetime) -> None:
        versions = {key: breaker.version for key, breaker in changed}
        reason = f"{outcome.kind} {outcome.code or ''}".strip()

        def write(connection: Connection) -> None:
            for (account, domain), breaker in sorted(changed, key=lambda one: one[0]):
                if breaker.until is None:
                    stored.remove(connection, account, domain)
                    continue
                seconds = int(breaker.pause_before.total_seconds())
                pause = Pause(account=account, domain=domain, until=breaker.until, seconds=seconds, reason=reason)
                stored.put(connection, pause, now=now)

        try:
            await self._writer.write(write)
        except Exception as error:  # noqa: BLE001 - this worker knows; the next change tells the others
            log.error("pause not shared", error=type(error).__name__)  # noqa: TRY400 - a traceback may quote values
            return
        self._known |= {key for key, breaker in changed if breaker.until is not None}
        self._told.update(versions)
