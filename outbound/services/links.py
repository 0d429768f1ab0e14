"""Links that act for one customer: signed, bound to one purpose, and never a redirect."""

import base64
import binascii
from dataclasses import dataclass

from outbound.domain.keyring import Keyring

_SEPARATOR = "\x1f"
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

    A token is ``key id . payload . signature`` in URL-safe base64. The HMAC covers the purpose, the key id and
    the payload, so that a token of one purpose, customer, topic or message never opens another. Tokens do
    not expire: a link in an old mail must still let the reader out (CAN-SPAM asks for 30 days).
    """

    keyring: Keyring
    public_url: str

    def unsubscribe(self, *, customer_id: str, topic: str, channel: str, message_id: str) -> str:
        """The page (GET) and one-click address (POST, RFC 8058) that ends ``topic`` for the customer."""
        payload = _SEPARATOR.join((customer_id, topic, channel, message_id))
        return f"{self.public_url.rstrip('/')}/u/{self._token('unsubscribe', payload)}"

    def assets(self) -> str:
        """Where brand assets are served, with a trailing slash."""
        return f"{self.public_url.rstrip('/')}/assets/"

    def read_unsubscribe(self, token: str) -> UnsubscribeLink | None:
        """What the token stands for, or None when it is not one of ours."""
        payload = self._read("unsubscribe", token)
        parts = payload.split(_SEPARATOR) if payload is not None else []
        if len(parts) != len(UnsubscribeLink.__dataclass_fields__):
            return None
        customer_id, topic, channel, message_id = parts
        return UnsubscribeLink(customer_id=customer_id, topic=topic, channel=channel, message_id=message_id)

    def _token(self, purpose: str, payload: str) -> str:
        key_id = self.keyring.keys[0][0]
        body = payload.encode()
        _, signature = self.keyring.sign(f"{purpose}|{key_id}", body)
        return f"{key_id}.{_encode(body)}.{_encode(signature[:_SIGNATURE_BYTES])}"

    def _read(self, purpose: str, token: str) -> str | None:
        try:
            key_id, body64, signature64 = token.split(".")
            body, signature = _decode(body64), _decode(signature64)
            if _encode(body) != body64 or _encode(signature) != signature64 or len(signature) != _SIGNATURE_BYTES:
                return None  # one token, one spelling: base64 would let spare bits vary
            if not self.keyring.verify(f"{purpose}|{key_id}", body, key_id, signature):
                return None
            return body.decode()
        except (ValueError, binascii.Error):
            return None


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
