"""Keyed hashes and signatures from the installation's secret keys; nothing else ever sees the keys."""

import hashlib
import hmac
from dataclasses import dataclass, field

from outbound.domain.errors import ConfigurationError

_MIN_KEY_BYTES = 16
_MIN_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id, the newest first: the first signs, all of them verify (rotation)."""

    keys: tuple[tuple[str, bytes], ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read ``id:hex,id:hex`` (the form of OUTBOUND_SECRET_KEY). Raises ConfigurationError when unusable."""
        remedy = 'set OUTBOUND_SECRET_KEY to "k1:" and at least 32 hex digits (openssl rand -hex 32)'
        keys = []
        for part in filter(None, (p.strip() for p in text.split(","))):
            key_id, separator, digits = part.partition(":")
            try:
                key = bytes.fromhex(digits)
            except ValueError:
                key = b""
            if not separator or not key_id.isalnum() or len(key) < _MIN_KEY_BYTES:
                raise ConfigurationError("OUTBOUND_SECRET_KEY is not of the form id:hex", remedy)
            keys.append((key_id, key))
        if not keys:
            raise ConfigurationError("OUTBOUND_SECRET_KEY is not set", remedy)
        return cls(tuple(keys))

    def address_hash(self, channel: str, value: str) -> str:
        """The keyed hash (HMAC-SHA-256, hex) that stands for an address in suppressions, under the newest key.

        E-mail addresses are compared case-insensitively.
        """
        return self.address_hashes(channel, value)[0]

    def address_hashes(self, channel: str, value: str) -> tuple[str, ...]:
        """The hash under every live key, newest first: a suppression under an old key still holds."""
        subject = f"address|{channel}|{value.casefold()}".encode()
        return tuple(hmac.digest(key, subject, "sha256").hex() for _, key in self.keys)

    def pseudonym(self, kind: str, value: str) -> str:
        """The keyed hash (32 hex digits, newest key) that stands for an id or key of somebody who was erased."""
        return self.pseudonyms(kind, value)[0]

    def pseudonyms(self, kind: str, value: str) -> tuple[str, ...]:
        """The same under every live key, newest first."""
        subject = f"{kind}|{value}".encode()
        return tuple(hmac.digest(key, subject, "sha256").hex()[:32] for _, key in self.keys)

    def sign(self, purpose: str, payload: bytes) -> tuple[str, bytes]:
        """Key id and HMAC-SHA-256 over purpose and payload."""
        key_id, key = self.keys[0]
        return key_id, hmac.new(key, purpose.encode() + b"|" + payload, hashlib.sha256).digest()

    def verify(self, purpose: str, payload: bytes, key_id: str, signature: bytes) -> bool:
        """Whether ``signature`` is ours, in constant time. A purpose never verifies for another.

        A signature may be cut to its first 16 bytes or more (RFC 2104 section 5 allows half of the hash).
        """
        key = dict(self.keys).get(key_id)
        if key is None or len(signature) < _MIN_SIGNATURE_BYTES:
            return False
        expected = hmac.new(key, purpose.encode() + b"|" + payload, hashlib.sha256).digest()
        return hmac.compare_digest(expected[: len(signature)], signature)
