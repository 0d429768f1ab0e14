"""News posted to other systems, signed as https://www.standardwebhooks.com says.

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA-256 over ``webhook-id.webhook-timestamp.body``; a secret is
``whsec_`` and the base64 of its bytes. With several secrets (rotation) there is a signature of each.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

import aiohttp

from outbound.channels.inside import LOOPBACK, GuardedResolver, InsideError, Reach
from outbound.channels.retry_after import parse_retry_after
from outbound.domain.errors import ConfigurationError
from outbound.domain.hook import Post

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
_LEAST, _MOST = 24, 64  # bytes, as the specification says
_SECONDS = aiohttp.ClientTimeout(total=15, sock_connect=5)
_SUCCESS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request. ``status`` is None where none came; ``text`` says why, without an address."""

    status: int | None
    text: str = ""
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the other side has it: any 2xx. A redirect is none, and is not followed."""
        return self.status is not None and self.status // 100 == _SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class HookTarget:
    """Where the news of one hook goes. ``url`` is https, or http to this machine where ``loopback`` allows that.

    ``networks`` are inside addresses that may be reached. Raises ConfigurationError for what cannot be used.
    """

    name: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    networks: tuple[str, ...] = ()
    loopback: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a URL that news must not go to, or a secret that is none."""
        where = f"[webhooks.{self.name}]"
        parts = urlsplit(self.url)
        local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if not parts.hostname or parts.username or parts.password:
            raise ConfigurationError(f"{where} url is not a plain URL", "write https://HOST/PATH, without a password")
        if parts.scheme != "https" and not (parts.scheme == "http" and local and self.loopback):
            remedy = "http is for this machine only, and never in production"
            raise ConfigurationError(f"{where} url must begin with https://", remedy)
        if not self.secrets:
            remedy = f"`outbound webhook secret` makes one; set {secret_variable(self.name)}"
            raise ConfigurationError(f"{where} has no secret to sign with", remedy)
        for one in self.secrets:
            key_of(one)

    @property
    def reach(self) -> Reach:
        """Where its requests may go."""
        named = tuple(ipaddress.ip_network(one) for one in self.networks)
        return Reach(networks=(*named, *(LOOPBACK if self.loopback else ())))


def secret_variable(name: str) -> str:
    """The variable of the environment that holds a hook's secrets."""
    return f"OUTBOUND_WEBHOOK_{name.upper().replace('-', '_')}_SECRET"


def key_of(secret: str) -> bytes:
    """The bytes of a secret. Raises ConfigurationError."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not _LEAST <= len(key) <= _MOST:
        remedy = "`outbound webhook secret` makes one"
        raise ConfigurationError(f"a webhook secret is {SECRET_PREFIX} and base64 of {_LEAST} to {_MOST} bytes", remedy)
    return key


def signature(secrets: tuple[str, ...], *, identity: str, timestamp: int, body: bytes) -> str:
    """The header ``webhook-signature``."""
    signed = f"{identity}.{timestamp}.".encode() + body
    digests = (hmac.new(key_of(one), signed, hashlib.sha256).digest() for one in secrets)
    return " ".join(f"v1,{base64.b64encode(one).decode('ascii')}" for one in digests)


def body_of(post: Post) -> bytes:
    """What is posted: the same bytes each time."""
    document = {
        "type": post.event,
        "timestamp": post.at.isoformat().replace("+00:00", "Z"),
        "data": {**({"customer": post.customer_id} if post.customer_id else {}), **dict(post.data)},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


class HookClient:
    """Belongs to one event loop. Close it when done."""

    def __init__(self, targets: Mapping[str, HookTarget]) -> None:
        self._targets = targets
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def post(self, post: Post, *, now: datetime) -> Answer:
        """Post it once. Never raises for anything a network does."""
        target = self._targets[post.hook]
        body, identity, at = body_of(post), f"msg_{post.id}", int(now.timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "outbound",
            "webhook-id": identity,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(target.secrets, identity=identity, timestamp=at, body=body),
        }
        try:
            target.reach.require(urlsplit(target.url).hostname or "")
            session = self._session(target)
            async with session.post(target.url, data=body, headers=headers, allow_redirects=False) as answer:
                wait = parse_retry_after(answer.headers.get("Retry-After"), now=now)
                return Answer(status=answer.status, text=f"answered {answer.status}", retry_after=wait)
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            return Answer(status=None, text=_trouble(error))

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    def _session(self, target: HookTarget) -> aiohttp.ClientSession:
        if target.name not in self._sessions:
            connector = aiohttp.TCPConnector(resolver=GuardedResolver(target.reach), use_dns_cache=False)
            self._sessions[target.name] = aiohttp.ClientSession(
                connector=connector, timeout=_SECONDS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._sessions[target.name]


def _trouble(error: BaseException) -> str:
    """Why no answer came, by the name of the error: its words may hold an address."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, InsideError):
            return str(inner)
        inner = inner.__cause__ or getattr(inner, "os_error", None)
    return f"no answer: {type(error).__name__}"
