"""Counting requests in bounded memory."""

import hashlib
import ipaddress
import time
from collections import OrderedDict

from outbound.interfaces.http.groups import Rate

_MOST = 20_000
_IPV6_NETWORK = 64


class Buckets:
    """Token buckets by key, the most recently used ``most`` of them; per process.

    Whoever is forgotten begins anew: with more askers than that the bound is looser, memory is not.
    """

    def __init__(self, rate: Rate, *, most: int = _MOST) -> None:
        self._rate, self._most = rate, most
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def wait(self, key: bytes, now: float | None = None) -> float:
        """Take one; answers 0, or the seconds until there is one again. ``now`` in seconds of a monotonic clock."""
        now = time.monotonic() if now is None else now
        left, at = self._left.pop(key, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate.per_second
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return wait

    def __len__(self) -> int:
        return len(self._left)


def address_key(host: str) -> bytes:
    """Who asks: an IPv4 address, or the network of an IPv6 one, since every household has 2^64 of those."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return b"?"
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return mapped.packed if mapped else address.packed[: _IPV6_NETWORK // 8]
    return address.packed


def token_key(token: str) -> bytes:
    """A secret as it is counted: never itself."""
    return hashlib.blake2b(token.encode(errors="replace"), digest_size=16).digest()
