"""Limits of the route groups: how often, how large, how long."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from outbound.interfaces.http.answers import Answer, Receive, Send, plain
from outbound.interfaces.http.groups import Group, Limits, header
from outbound.interfaces.http.rates import Buckets, address_key, token_key

Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_OTHER = Limits(body=0)


class _TooLarge(Exception):  # noqa: N818 - control flow: becomes 413
    """The body is longer than its route takes."""


class _Bounds:
    """One group with its counters."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.addresses = Buckets(limits.per_address) if limits.per_address else None
        self.tokens = Buckets(limits.per_token) if limits.per_token else None


class LimitsMiddleware:
    """Refuse what is too much before anything works on it: 429, 413, and 503 for what takes too long.

    A body is counted as it arrives, whatever Content-Length says. The path decides the group.
    """

    def __init__(self, app: Asgi, groups: Sequence[Group]) -> None:
        self._app = app
        bounds = [(group, _Bounds(group.limits)) for group in groups]
        self._groups = sorted(
            ((path, group, bound) for group, bound in bounds for path in group.paths), key=lambda one: -len(one[0])
        )
        self._other = _Bounds(_OTHER)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        group, bounds = self._find(scope["path"])
        scope["outbound.group"] = group.name if group else "other"
        wait = self._wait(scope, group, bounds)
        if wait:
            await plain(scope, receive, send, 429, {"Retry-After": str(int(wait) + 1)})
            return
        length = header(scope, b"content-length") or "0"
        if not length.isdigit() or len(length) > 12 or int(length) > bounds.limits.body:  # noqa: PLR2004 - digits
            await plain(scope, receive, send, 413)
            return
        await self._bounded(scope, receive, send, bounds.limits)

    def _find(self, path: str) -> tuple[Group | None, _Bounds]:
        for beginning, group, bounds in self._groups:
            if path == beginning or path.startswith(beginning.rstrip("/") + "/"):
                return group, bounds
        return None, self._other

    @staticmethod
    def _wait(scope: MutableMapping[str, Any], group: Group | None, bounds: _Bounds) -> float:
        wait = 0.0
        if bounds.addresses is not None:
            client = scope.get("client")
            wait = bounds.addresses.wait(address_key(client[0] if client else ""))
        if not wait and bounds.tokens is not None and group is not None and group.token is not None:
            token = group.token(scope)
            if token:
                wait = bounds.tokens.wait(token_key(token))
        return wait

    async def _bounded(self, scope: MutableMapping[str, Any], receive: Receive, send: Send, limits: Limits) -> None:
        answer = Answer(send)
        left = limits.body

        async def counted() -> MutableMapping[str, Any]:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise _TooLarge
            return message

        try:
            async with asyncio.timeout(limits.seconds):
                await self._app(scope, counted, answer.send)
        except _TooLarge:
            await answer.instead(scope, receive, 413)
        except TimeoutError:
            await answer.instead(scope, receive, 503, {"Retry-After": "60"})
