"""The outermost layer: the path under the public URL, security headers, failures without a word about anybody."""

import time
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

import structlog

from outbound.interfaces.http.answers import Answer, Receive, Send
from outbound.interfaces.http.limits import Asgi
from outbound.interfaces.http.metrics import Metrics

log = structlog.get_logger("outbound.http")

_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
)
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class Guard:
    """What holds for every answer, whoever gave it.

    Behind a proxy the public URL may have a path of its own (``https://shop.example/contact``): a request that still
    carries it is answered like one from which the proxy took it. Failures are logged by group, method and kind of
    error; never a path, a query or a header, since those are keys to somebody's consent (fault F81).
    """

    def __init__(self, app: Asgi, *, public_url: str, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        parts = urlsplit(public_url)
        self._prefix = parts.path.rstrip("/")
        self._always = (*_ALWAYS, _HTTPS_ONLY) if parts.scheme == "https" else _ALWAYS

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._strip_prefix(scope)
        began = time.perf_counter()

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._add(message)
            await send(message)

        answer = Answer(with_headers)
        try:
            await self._app(scope, receive, answer.send)
        except Exception as error:  # noqa: BLE001 - the server's own handler would log a traceback
            group = scope.get("outbound.group", "other")
            log.error("request failed", group=group, method=scope["method"], error=type(error).__name__)  # noqa: TRY400 - no values
            await answer.instead(scope, receive, 500)
        finally:
            group = scope.get("outbound.group", "other")
            self._metrics.observe(group, scope["method"], answer.status, time.perf_counter() - began)

    def _strip_prefix(self, scope: MutableMapping[str, Any]) -> None:
        prefix = self._prefix
        if prefix and (scope["path"] == prefix or scope["path"].startswith(f"{prefix}/")):
            scope["path"] = scope["path"][len(prefix) :] or "/"
            scope["raw_path"] = scope["path"].encode()

    def _add(self, message: MutableMapping[str, Any]) -> None:
        headers = list(message["headers"])
        present = {name.lower() for name, _ in headers}
        headers += [one for one in self._always if one[0] not in present]
        if b"content-security-policy" not in present:
            headers.append((b"content-security-policy", _POLICY))
        message["headers"] = headers
