"""What anybody can set off, sign-ups and requests from pages and texts, has caps of its own (fault F84).

Whoever fills a form with other people's numbers, or with a block of numbers that somebody earns from, meets them at
planning: nothing is queued, and the decision says ``cap.strangers.per_address`` and the like. Counted are messages
by address, by block of numbers, by the IP address that the event names, and their highest price; all by UTC day.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Skip
from outbound.domain.keyring import Keyring
from outbound.domain.message_events import REQUEST_PREFIX
from outbound.domain.person import Person
from outbound.domain.policy import Policy
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import EventTrigger, Rule, UnknownCustomerAction
from outbound.engine.costs import price
from outbound.services.planning.clerk import Judged, decided
from outbound.storage import stranger_counts

IP: Final = "ip"
"""The field of an event that says from where it was set off, where the shop declares and tells it."""
_BLOCK: Final = 4
"""Numbers that differ in so many last digits are one block: that is how operators hand them out."""
_IPV6_NETWORK: Final = 64


def is_public(rule: Rule) -> bool:
    """Whether a stranger can set it off: it answers a request of anybody, or makes customers of who was unknown."""
    if not isinstance(rule.trigger, EventTrigger):
        return False
    return rule.trigger.event.startswith(REQUEST_PREFIX) or rule.unknown_customer is UnknownCustomerAction.CREATE


class Turnstile:
    """Counts for one transaction; the caller holds the lock of the one planner of events."""

    def __init__(
        self,
        connection: Connection,
        policy: Policy,
        people: Mapping[str, Person],
        keyring: Keyring | None,
        *,
        now: datetime,
    ) -> None:
        self._connection, self._policy, self._people = connection, policy, people
        self._keyring = keyring
        self._day = now.astimezone(UTC).date().isoformat()

    def passed(self, judged: Sequence[Judged]) -> list[Judged]:
        """The same candidates; who is over a cap is skipped, and the others are counted."""
        uses = [list(self._uses(one)) if one.context is not None else [] for one in judged]
        keys = sorted({key for some in uses for _, key, _, _ in some})
        before = stranger_counts.load(self._connection, self._day, keys) if keys else {}
        more: dict[str, int] = {}
        answer = []
        for one, some in zip(judged, uses, strict=True):
            over = next((n for n, key, use, most in some if before.get(key, 0) + more.get(key, 0) + use > most), "")
            if over:
                reason = Reason(ReasonCode.CAP, f"strangers.{over}")
                answer.append(
                    Judged(one.once, one.customer_id, one.occurrence, decided(one.answer, Skip(reason=reason)), None)
                )
                continue
            for _, key, use, _ in some:
                more[key] = more.get(key, 0) + use
            answer.append(one)
        stranger_counts.add(self._connection, self._day, more)
        return answer

    def _uses(self, one: Judged) -> Iterator[tuple[str, str, int, int]]:
        """Name of the cap, key, how much of it one message uses, and how much there is."""
        caps, person = self._policy.strangers, self._people.get(one.customer_id)
        addresses = [person.customer.address(channel) for channel in one.channels] if person else []
        for address in filter(None, addresses):
            yield "per_address", self._key("address", address.value.casefold()), 1, caps.per_address
            if caps.per_block is not None and address.channel is ChannelName.SMS:
                yield "per_block", self._key("block", address.value[:-_BLOCK]), 1, caps.per_block
        event = one.occurrence.values.get("event")
        asked_from = _network(event.get(IP)) if isinstance(event, Mapping) else ""
        if caps.per_ip is not None and asked_from:
            yield "per_ip", self._key("ip", asked_from), 1, caps.per_ip
        if caps.cost is not None:
            yield "cost", "cost", self._price(one), caps.cost

    def _price(self, one: Judged) -> int:
        """The most it can come to, whichever channel it takes: nobody knows yet how long a text gets."""
        channels = self._policy.channels
        parts = {name: channels[name].max_parts or 1 for name in one.channels if name in channels}
        prices = [price(self._policy, name, one.country, parts=many) for name, many in parts.items()]
        return max(prices, default=0)

    def _key(self, kind: str, value: str) -> str:
        """Nobody reads an address from it. Without keys, on a copy of the record that is thrown away, it is itself."""
        return f"{kind}:{self._keyring.pseudonym(kind, value) if self._keyring else value}"


def _network(value: object) -> str:
    """Who asked: an IPv4 address, or the network of an IPv6 one. "" for what is none."""
    try:
        address = ipaddress.ip_address(value.strip()) if isinstance(value, str) else None
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))
    return str(address) if address else ""
