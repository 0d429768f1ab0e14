"""Answers that are given before or instead of a route's own."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.responses import PlainTextResponse

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Answer:
    """Notes whether an answer has begun: after that nothing else can be said."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass on, and remember the status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)

    async def instead(
        self,
        scope: MutableMapping[str, Any],
        receive: Receive,
        status: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say ``status`` unless an answer has begun."""
        if not self.status:
            await plain(scope, receive, self.send, status, headers)


async def plain(
    scope: MutableMapping[str, Any],
    receive: Receive,
    send: Send,
    status: int,
    headers: Mapping[str, str] | None = None,
) -> None:
    """A short answer in plain words that tells nothing about anybody."""
    text = HTTPStatus(status).phrase
    await PlainTextResponse(text, status, headers={"Cache-Control": "no-store", **(headers or {})})(
        scope, receive, send
    )
