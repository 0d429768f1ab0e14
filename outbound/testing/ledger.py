"""What a provider double accepted: one JSON line per message, written before the sender hears of it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One accepted message. ``reference`` is the Message-ID or the provider's sid, ``time`` seconds since 1970."""

    reference: str
    recipient: str
    sha256: str
    size: int
    time: float
    facts: Mapping[str, Any]


class LedgerWriter:
    """Appends accepted messages to a file that survives a kill; ``fsync`` also survives the machine."""

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._fsync = fsync

    def append(self, *, reference: str, recipient: str, sha256: str, size: int, time: float, **facts: Any) -> None:
        """Write one line with one call, so that two servers may share the file."""
        line = {"reference": reference, "recipient": recipient, "sha256": sha256, "size": size, "time": time, **facts}
        os.write(self._descriptor, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        if self._fsync:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_ledger(path: Path) -> list[Accepted]:
    """Every complete line of a ledger, in order; an absent file holds none."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        facts = json.loads(line)
        known = {name: facts.pop(name) for name in ("reference", "recipient", "sha256", "size", "time")}
        entries.append(Accepted(**known, facts=facts))
    return entries
