"""Links that act for one customer: signed, bound to one purpose, and never a redirect."""

import base64
import binascii
from dataclasses import dataclass

from outbound.domain.keyring import Keyring

_SEPARATOR = "\x1f"
_ID_BYTES = 16
_SIGNATURE_BYTES = 16
"""128 bits, the least that ASVS 5.0 11.5.1 accepts for an unguessable reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsubscribeLink:
    """What an unsubscribe token stands for."""

    customer_id: str
    topic: str
    channel: str
    message_id: str


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes and reads links under the installation's public URL.

    A token is the key id and, in URL-safe base64, payload and signature: short, because texts carry it too.
    The HMAC covers the purpose, the key id and the payload, so that a token of one purpose, customer, topic or
    message never opens another. Tokens do not expire: a link in an old mail must still let the reader out
    (CAN-SPAM asks for 30 days).
    """

    keyring: Keyring
    public_url: str

    def unsubscribe(self, *, customer_id: str, topic: str, channel: str, message_id: str) -> str:
        """The page (GET) and one-click address (POST, RFC 8058) that ends ``topic`` for the customer."""
        payload = bytes.fromhex(message_id) + _SEPARATOR.join((customer_id, topic, channel)).encode()
        return f"{self.public_url.rstrip('/')}/u/{self._token('unsubscribe', payload)}"

    def assets(self) -> str:
        """Where brand assets are served, with a trailing slash."""
        return f"{self.public_url.rstrip('/')}/assets/"

    def read_unsubscribe(self, token: str) -> UnsubscribeLink | None:
        """What the token stands for, or None when it is not one of ours."""
        payload = self._read("unsubscribe", token)
        if payload is None:
            return None
        customer_id, topic, channel = payload[_ID_BYTES:].decode().split(_SEPARATOR)
        message_id = payload[:_ID_BYTES].hex()
        return UnsubscribeLink(customer_id=customer_id, topic=topic, channel=channel, message_id=message_id)

    def signed_address(self, folder: str, purpose: str, payload: bytes) -> str:
        """The page under ``folder`` for a token that stands for ``payload`` and opens ``purpose`` alone."""
        return f"{self.public_url.rstrip('/')}/{folder}/{self._token(purpose, payload)}"

    def read_signed(self, purpose: str, token: str) -> bytes | None:
        """The payload of a token of ``signed_address``; None for any other, also for one of another purpose."""
        return self._read(purpose, token)

    def _token(self, purpose: str, payload: bytes) -> str:
        key_id = self.keyring.keys[0][0]
        _, signature = self.keyring.sign(f"{purpose}|{key_id}", payload)
        return f"{key_id}.{_encode(payload + signature[:_SIGNATURE_BYTES])}"

    def _read(self, purpose: str, token: str) -> bytes | None:
        key_id, _, text = token.partition(".")
        try:
            raw = _decode(text)
        except (ValueError, binascii.Error):
            return None
        payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if _encode(raw) != text:
            return None  # one token, one spelling: base64 would let spare bits vary
        return payload if self.keyring.verify(f"{purpose}|{key_id}", payload, key_id, signature) else None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
