"""Links that lead through us where clicks may be noted: to what the release holds, and nowhere else (fault F70).

Only addresses that stand in a template as they are can be led through: the link names one by the hash of it, and
whoever follows it is sent to what the release has under that hash. An address with a reader's own values in it is
left alone.
"""

import hashlib
import html
import re
from collections.abc import Callable
from typing import Final

LINK_BYTES: Final = 8
_FIXED: Final = re.compile(r'<a\s[^>]*?href="(https?://[^"{}]+)"', re.IGNORECASE)
_HREF: Final = re.compile(r'(<a\s[^>]*?href=")(https?://[^"]+)(")', re.IGNORECASE)
_BODY_END: Final = re.compile(r"</body>", re.IGNORECASE)


def link_id(address: str) -> bytes:
    """What a link calls its destination."""
    return hashlib.sha256(address.encode()).digest()[:LINK_BYTES]


def fixed_links(text: str) -> frozenset[str]:
    """The addresses of a template's HTML that are the same for every reader, as they stand in it (escaped)."""
    return frozenset(_FIXED.findall(text))


def destination(written: str) -> str:
    """The address that an attribute's text means."""
    return html.unescape(written)


def led_through(text: str, fixed: frozenset[str], through: Callable[[str], str]) -> str:
    """The HTML of a mail with ``through(address)`` in place of each of its fixed links."""

    def lead(found: re.Match[str]) -> str:
        if found[2] not in fixed:
            return found[0]
        return f"{found[1]}{html.escape(through(destination(found[2])))}{found[3]}"

    return _HREF.sub(lead, text)


def with_pixel(text: str, address: str) -> str:
    """The HTML with an invisible picture at its end, or as it is where it has no end."""
    picture = f'<img src="{html.escape(address)}" width="1" height="1" alt="" style="display:block;border:0">'
    return _BODY_END.sub(lambda found: picture + found[0], text, count=1)
