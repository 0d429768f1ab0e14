"""Alerts as one POST of JSON. A chat that takes ``text`` shows it as it is; a program reads ``alerts``.

With a secret the request is signed as https://www.standardwebhooks.com says: HMAC-SHA256 over id, time and body.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from outbound.channels.alerts import words
from outbound.domain.alert import Notice
from outbound.domain.errors import ConfigurationError
from outbound.domain.ids import new_id

_SECONDS = 10
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReceiver:
    """Posts to ``url``: https, or http on loopback. Redirects are not followed: they count as refused."""

    url: str
    installation: str
    secret: str = field(default="", repr=False)
    name: str = "webhook"

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a URL that alerts must not go to."""
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ConfigurationError("[alerts] webhook must begin with https://", "http is for this machine only")
        if not parts.hostname:
            raise ConfigurationError("[alerts] webhook has no host", "write a whole URL")

    async def tell(self, notices: Sequence[Notice], *, now: datetime) -> str:
        """Post it; "" for any 2xx, else what came back."""
        document = {
            "text": f"{words.headline(notices, self.installation)}\n{words.body(notices)}",
            "installation": self.installation,
            "at": now.isoformat(),
            "alerts": [
                {
                    "status": "over" if one.over else "firing",
                    "kind": str(one.alert.kind),
                    "subject": one.alert.subject,
                    "text": one.alert.text,
                    "remedy": one.alert.remedy,
                    "since": one.since.isoformat(),
                }
                for one in notices
            ],
        }
        content = json.dumps(document, ensure_ascii=False).encode()
        return await asyncio.to_thread(self._post, content, self._headers(content, now))

    def _headers(self, content: bytes, now: datetime) -> dict[str, str]:
        found = {"Content-Type": "application/json", "User-Agent": "outbound"}
        if self.secret:
            identity, at = f"alert_{new_id(now)}", str(int(now.timestamp()))
            signed = hmac.new(self.secret.encode(), f"{identity}.{at}.".encode() + content, hashlib.sha256).digest()
            signature = f"v1,{base64.b64encode(signed).decode('ascii')}"
            found |= {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": signature}
        return found

    def _post(self, content: bytes, headers: dict[str, str]) -> str:
        parts = urlsplit(self.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
        try:
            connection.request(
                "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), content, headers
            )
            status = connection.getresponse().status
        except (OSError, HTTPException) as error:
            return f"no answer: {type(error).__name__}"
        finally:
            connection.close()
        return "" if status // 100 == 2 else f"answered {status}"  # noqa: PLR2004 - success
