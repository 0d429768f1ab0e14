"""Identifiers: UUIDv7 as 32 hex digits, sortable by creation time (RFC 9562 section 5.7)."""

import hashlib
import os
from datetime import datetime


def new_id(now: datetime) -> str:
    """A fresh UUIDv7 whose leading 48 bits are ``now`` in milliseconds, as 32 lower-case hex digits."""
    millis = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    value = (millis << 80) | (int.from_bytes(os.urandom(10)) & 0xFFF_3FFF_FFFF_FFFF_FFFF) | (0x7 << 76) | (0b10 << 62)
    return f"{value:032x}"


def new_ids(now: datetime, count: int) -> list[str]:
    """``count`` fresh UUIDv7 of one millisecond in ascending order, each a random step above the one before.

    In order they are cheaper to make and to insert: the end of an index instead of anywhere in it (RFC 9562, 6.2).
    """
    millis = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    steps = memoryview(os.urandom(4 * count)).cast("I")
    tail = int.from_bytes(os.urandom(8)) & 0x1FFF_FFFF_FFFF_FFFF  # half of 62 bits: room for all the steps
    head = f"{millis:012x}7{int.from_bytes(os.urandom(2)) & 0xFFF:03x}"
    found = []
    for step in steps:
        tail += step + 1
        found.append(f"{head}{tail & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000:016x}")
    return found


def first_id(at: datetime) -> str:
    """The least id that may have been made at ``at`` or later."""
    return f"{int(at.timestamp() * 1000) & 0xFFFF_FFFF_FFFF:012x}".ljust(32, "0")


def content_hash(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 hex digits: the name of immutable content."""
    return hashlib.sha256(data).hexdigest()
