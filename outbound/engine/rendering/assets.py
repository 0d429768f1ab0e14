"""Brand assets and attachments: files that are sent as they are."""

import hashlib
from collections.abc import Mapping
from typing import Final

from outbound.domain.release import Files
from outbound.domain.source import Span
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.report import Report

IMAGE_TYPES: Final[Mapping[str, tuple[str, bytes]]] = {
    "png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    "jpg": ("image/jpeg", b"\xff\xd8\xff"),
    "jpeg": ("image/jpeg", b"\xff\xd8\xff"),
    "gif": ("image/gif", b"GIF8"),
}
"""What every mail program shows, with the bytes such a file starts with. SVG and WebP are not among them."""

ATTACHMENT_TYPES: Final[Mapping[str, str]] = {
    "pdf": "application/pdf",
    "ics": "text/calendar",
    "csv": "text/csv",
    "txt": "text/plain",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
}

MAX_ASSET_BYTES: Final = 1024 * 1024
MAX_ATTACHMENT_BYTES: Final = 5 * 1024 * 1024


def extension(path: str) -> str:
    """The lower-case extension without its dot."""
    return path.rpartition(".")[2].lower()


def address_of(path: str, content: bytes) -> str:
    """The name an asset is served under: it changes with the bytes, so that it may be cached for ever."""
    return f"{hashlib.sha256(content).hexdigest()[:20]}.{extension(path)}"


def collect(folder: str, files: Files, report: Report) -> dict[str, tuple[str, str, bytes]]:
    """The images of one folder: file name to (content-addressed name, media type, bytes)."""
    found: dict[str, tuple[str, str, bytes]] = {}
    for path in sorted(files):
        head, _, name = path.rpartition("/")
        kind = IMAGE_TYPES.get(extension(path))
        if head != folder or kind is None:
            continue
        media_type, magic = kind
        content = files[path]
        place = Span(path, 1, 1)
        if not content.startswith(magic):
            report.error(Code.UNKNOWN_ASSET, place, f"this file is not {media_type}", "save it again in that format")
        elif len(content) > MAX_ASSET_BYTES:
            report.error(Code.TOO_LARGE, place, f"the image has {len(content):,} bytes (limit {MAX_ASSET_BYTES:,})")
        else:
            found[name] = (address_of(path, content), media_type, content)
    return found
