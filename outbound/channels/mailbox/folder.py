"""The mailbox folder: one openable file per message and beside it, out of sight, what the file cannot say.

``email/REFERENCE.eml``, ``sms/REFERENCE.txt`` and ``.about/REFERENCE.json`` (customer, address, time).
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from outbound.domain.customer import ChannelName

ABOUT = ".about"
SUFFIXES = {ChannelName.EMAIL: ".eml", ChannelName.SMS: ".txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of one delivered message. ``time`` is ISO 8601 in UTC."""

    reference: str
    channel: str
    customer_id: str
    address: str
    subject: str
    time: str


def file_name(reference: str) -> str:
    """A reference as a safe file name: letters, digits, dot, dash and underscore."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", reference).lstrip(".") or "_"


def write_atomically(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none. Raises OSError, and then leaves nothing behind."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def keep(folder: Path, about: About, content: bytes) -> Path:
    """Store one message. The same reference again rewrites nothing that is the same; the message comes last."""
    name = file_name(about.reference)
    message = folder / about.channel / (name + SUFFIXES[ChannelName(about.channel)])
    if message.exists() and message.read_bytes() == content:
        return message
    for place in (message.parent, folder / ABOUT):
        place.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / ABOUT / f"{name}.json", json.dumps(asdict(about), ensure_ascii=False).encode())
    write_atomically(message, content)
    return message


def stored(folder: Path) -> list[tuple[About, Path]]:
    """Every message of a mailbox with its file, newest first."""
    found = []
    for about_file in (folder / ABOUT).glob("*.json"):
        about = About(**json.loads(about_file.read_text("utf-8")))
        message = folder / about.channel / (about_file.stem + SUFFIXES[ChannelName(about.channel)])
        if message.exists():
            found.append((about, message))
    return sorted(found, key=lambda pair: (pair[0].time, pair[0].reference), reverse=True)
