"""Twilio's own asynchronous HTTP client, taught three things it lacks.

It goes to a chosen base address, gives up after a chosen time, and remembers for each request how far it got:
a refused connection and a lost answer raise alike, and only one of them may have sent a message.
"""

import base64
import logging
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response


@dataclass(slots=True)
class Progress:
    """How far one request got. ``begun`` is set right before its first byte; ``status`` once an answer began."""

    begun: bool = False
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


progress: ContextVar[Progress] = ContextVar("twilio_progress")

_silent = logging.getLogger("outbound.twilio")
_silent.disabled = True  # the vendor's client logs whole requests


class PlacedHttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]  # the vendor ships no types
    """One session of pooled connections. Must be created inside a running event loop."""

    def __init__(self, *, api_base: str, connect_timeout: float, answer_timeout: float, connections: int) -> None:
        super().__init__(pool_connections=False, logger=_silent)
        self._base = api_base.rstrip("/")
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_note_begin)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=answer_timeout),
            trace_configs=[trace],
        )

    async def request(  # noqa: D102, PLR0917 - the vendor's method and signature
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - the vendor's signature; the session's times count
        allow_redirects: bool = False,  # noqa: ARG002 - never: a redirected POST would be a second one
    ) -> Response:
        parts = urlsplit(url)
        headers = dict(headers or {})
        if auth is not None:  # the vendor's way of passing it is deprecated in aiohttp
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode("ascii")
        target = self._base + parts.path + (f"?{parts.query}" if parts.query else "")
        body = None
        if data is not None:  # what aiohttp's own form does, without its detour of a field object each
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(data, doseq=True).encode("ascii")
        session: aiohttp.ClientSession = self.session
        async with session.request(
            method, target, params=params, data=body, headers=headers, allow_redirects=False
        ) as answer:
            noted = progress.get(None)
            if noted is not None:
                noted.status = answer.status
                noted.headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, await answer.text(), answer.headers)


async def _note_begin(_session: aiohttp.ClientSession, _context: SimpleNamespace, _facts: Any) -> None:
    noted = progress.get(None)
    if noted is not None:
        noted.begun = True
