"""Who calls, whether they may, and how often."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from outbound.domain.access import ApiKey, Scope
from outbound.domain.errors import OutboundError
from outbound.interfaces.http.api.context import Api, api_of
from outbound.services import api_keys
from outbound.services.idempotency import LONGEST_KEY
from outbound.storage.api_requests import Request as Repeatable

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="key", description="A key that `outbound apikey create` printed."
)
_BURST_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The program that calls, known by its key."""

    key: ApiKey

    @property
    def name(self) -> str:
        """How it is written down beside what it did."""
        return f"api key {self.key.name}"


class Rates:
    """How many requests each key has left: so many a second, and what it saved up in one second."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, prefix: str) -> bool:
        """Whether the key may do one more request now."""
        if self._rate is None:
            return True
        now, most = time.monotonic(), max(1.0, self._rate * _BURST_SECONDS)
        left, then = self._left.get(prefix, (most, now))
        left = min(most, left + (now - then) * self._rate)
        self._left[prefix] = (left - 1 if left >= 1 else left, now)
        return left >= 1


class Uses:
    """The keys whose use today is on record already."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, object]] = set()

    async def note(self, api: Api, key: ApiKey) -> None:
        """Keep the day, once a day: what it is for is to find the keys that nobody uses."""
        now = api.now()
        mark = (key.prefix, now.date())
        if key.last_used == now.date() or mark in self._noted:
            return
        self._noted = {old for old in self._noted if old[1] == mark[1]} | {mark}
        await api.run(lambda: api_keys.note_use(api.database, key, now=now))


def requires(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """The dependency that lets only keys with ``scope`` in."""

    async def check(
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    ) -> Caller:
        api = api_of(request)
        key = api_keys.recognise(await api.keys.get(), given.credentials, now=api.now()) if given else None
        if key is None:
            remedy = "send `Authorization: Bearer` with a key of `outbound apikey create`"
            raise OutboundError("api.key", "no key, or none that is valid here", remedy)
        if not request.app.state.rates.take(key.prefix):
            raise OutboundError("api.rate", "this key asks more often than it may", "wait, or send events in bulk")
        if scope not in key.scopes:
            remedy = f"make a key with --scope {scope}"
            raise OutboundError("api.scope", f"this key has not the scope {scope}", remedy)
        await request.app.state.uses.note(api, key)
        return Caller(key=key)

    return check


IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$",
        description="The same request with the same key is done once; for seven days it gets the same answer.",
    ),
]
"""The header ``Idempotency-Key``."""


async def repeatable(
    request: Request, caller: Caller, key: str | None, *, body: bytes | None = None
) -> Repeatable | None:
    """The request as one that may come again; None without an ``Idempotency-Key``."""
    if key is None:
        return None
    content = await request.body() if body is None else body
    route = request.scope["route"].path
    where = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    digest = hashlib.sha256(where + content).hexdigest()
    return Repeatable(api_key=caller.key.prefix, route=f"{request.method} {route}", key=key, body_hash=digest)


async def _api(request: Request) -> Api:
    """The API of a request. A plain function would be called in a thread, which costs more than all the rest."""
    return api_of(request)


ApiOf = Annotated[Api, Depends(_api)]
