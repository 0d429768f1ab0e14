"""What every provider's webhook is: a verifier that lets nothing unproven in, and a parser that never fails the rest.

A guide for adding one: docs/webhooks.md.
"""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from outbound.domain.delivery import DeliveryEvent
from outbound.domain.incoming import IncomingMessage

News = DeliveryEvent | IncomingMessage

STALE_AFTER = timedelta(minutes=5)
"""A signed time further from now than that is refused: somebody kept the request to play it again (F61)."""


class Refusal(StrEnum):
    """Why a request is answered 403 and changes nothing. Counted by word."""

    UNKNOWN = "unknown"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    STALE = "stale"
    ACCOUNT = "account"
    CERTIFICATE = "certificate"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST as it arrived. ``headers`` have lower-case names.

    ``urls`` are the addresses that the provider may have called us by: the public URL with the path and query of the
    request, with and without the port its scheme implies. Nothing in them comes from the request's own Host header.
    """

    urls: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes
    read: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The body as it was read, so that it is read once (``bodies``)."""

    @property
    def content_type(self) -> str:
        """``application/json`` and the like, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class MalformedError(ValueError):
    """The body is not what this provider sends."""


class Webhook(Protocol):
    """One provider. ``verify`` and ``parse`` are pure: the same request gives the same answer."""

    name: str

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:
        """Why the request is refused; None: it is the provider's, word for word as far as the provider signs."""
        ...

    def key(self, request: Request) -> str:
        """The provider's id of this request, the same when it is sent again; "" where it has none."""
        ...

    def parse(self, request: Request) -> tuple[News, ...]:
        """The news in a request that was verified. Raises MalformedError for what this provider never sends."""
        ...


def is_stale(signed_at: datetime | None, now: datetime) -> bool:
    """Whether a signed time is missing or too far from now, in either direction."""
    return signed_at is None or abs(now - signed_at) > STALE_AFTER


def has_password(request: Request, passwords: Iterable[str]) -> Refusal | None:
    """For providers that sign nothing: HTTP Basic (RFC 7617) with one of ``passwords`` (``name:secret``)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not given:
        return Refusal.UNSIGNED
    try:
        said = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return Refusal.FORGED
    right = [hmac.compare_digest(said, one.encode()) for one in passwords if one]
    return None if any(right) else Refusal.FORGED
