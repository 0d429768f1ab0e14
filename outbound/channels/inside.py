"""Which addresses a request of ours may go to: the open internet, and inside only what an operator named (F77).

A name is resolved once, what it resolves to is judged, and the connection goes to just that: a name that answers
differently the second time gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class InsideError(OSError):
    """The address is inside, and nobody named it. Its text names no address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where requests may go besides the open internet: ``networks`` that the operator named."""

    networks: tuple[_Network, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether a request may go to this address, in its usual spelling; other spellings are refused."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return all(self._allows(one) for one in (found, *_within(found)))

    def _allows(self, address: _Address) -> bool:
        if any(address in network for network in self.networks):
            return True
        mapped = isinstance(address, ipaddress.IPv6Address) and bool(_within(address))
        return mapped or (address.is_global and not address.is_multicast and not address.is_reserved)

    def require(self, host: str) -> None:
        """Raise InsideError for a host that is written as an address and may not be reached.

        Whatever a client could take for an address without asking a resolver is one: ``2130706433``, ``127.1``.
        """
        looks_so = ":" in host or host.replace(".", "").isdigit()
        if looks_so and not self.allows(host):
            raise InsideError("the address is inside, and [webhooks] networks does not name it")


def _within(address: _Address) -> Sequence[ipaddress.IPv4Address]:
    """IPv4 addresses that an IPv6 address leads to: mapped, 6to4, NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    nat = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
    return tuple(one for one in (address.ipv4_mapped, address.sixtofour, nat) if one is not None)


@dataclass(slots=True)
class GuardedResolver(AbstractResolver):
    """Answers what the system's resolver says, or nothing at all where one of the addresses may not be reached."""

    reach: Reach = field(default_factory=Reach)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises InsideError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        answer = [
            ResolveResult(
                hostname=host, host=str(to[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, to in found
        ]
        if not all(self.reach.allows(one["host"]) for one in answer):
            raise InsideError("the name leads inside, and [webhooks] networks does not name where")
        return answer

    async def close(self) -> None:
        """Nothing is open."""
