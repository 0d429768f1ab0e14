"""Where a page ended, as a word that only we can write: nobody pages through what another address lists."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Protocol, TypeVar

from fastapi import Query

from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring

_SIGNATURE: Final = 16


class _Entry(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Entry)

Cursor = Annotated[
    str | None, Query(max_length=2_000, description="`next` of the page before; leave it out for the first page")
]
"""The query parameter ``cursor``."""

Limit = Annotated[int, Query(ge=1, le=200, description="entries of a page")]
"""The query parameter ``limit``."""


def seal(keyring: Keyring, listing: str, place: Sequence[str]) -> str:
    """The cursor of a place in ``listing`` (the address and whom it is about)."""
    payload = json.dumps(list(place), ensure_ascii=False, separators=(",", ":")).encode()
    key_id, signature = keyring.sign(f"cursor|{listing}", payload)
    return f"{key_id}.{_encode(signature[:_SIGNATURE] + payload)}"


def opened(keyring: Keyring, listing: str, cursor: str | None, parts: int) -> tuple[str, ...] | None:
    """The place of a cursor; None without one. Raises OutboundError ``api.cursor`` for one of another listing."""
    if cursor is None:
        return None
    key_id, _, text = cursor.partition(".")
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raw = b""
    payload = raw[_SIGNATURE:]
    if not keyring.verify(f"cursor|{listing}", payload, key_id, raw[:_SIGNATURE]):
        raise OutboundError("api.cursor", "the cursor is not one of this listing", "take `next` of its page before")
    place: list[Any] = json.loads(payload)
    if len(place) != parts:
        raise OutboundError("api.cursor", "the cursor is of another version", "begin with the first page")
    return tuple(map(str, place))


def instant(text: str) -> datetime:
    """An instant of a place."""
    return datetime.fromisoformat(text)


def before(keyring: Keyring, listing: str, cursor: str | None) -> tuple[datetime, str] | None:
    """Where the next page of a listing by instant and id, newest first, begins; None for its first page."""
    place = opened(keyring, listing, cursor, 2)
    return (instant(place[0]), place[1]) if place else None


def further(
    keyring: Keyring, listing: str, found: Sequence[T], limit: int, place: Callable[[T], datetime]
) -> str | None:
    """The cursor after the page ``found``, of entries with an id and an instant; None at the end of the listing."""
    return seal(keyring, listing, (place(found[-1]).isoformat(), found[-1].id)) if len(found) == limit else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
