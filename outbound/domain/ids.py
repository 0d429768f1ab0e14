"""Identifiers: UUIDv7 as 32 hex digits, sortable by creation time (RFC 9562 section 5.7)."""

import hashlib
import os
from datetime import datetime


def new_id(now: datetime) -> str:
    """A fresh UUIDv7 whose leading 48 bits are ``now`` in milliseconds, as 32 lower-case hex digits."""
    millis = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    value = (millis << 80) | (int.from_bytes(os.urandom(10)) & 0xFFF_3FFF_FFFF_FFFF_FFFF) | (0x7 << 76) | (0b10 << 62)
    return f"{value:032x}"


def content_hash(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hex digits: the name of immutable content."""
    return hashlib.sha256(data).hexdigest()
