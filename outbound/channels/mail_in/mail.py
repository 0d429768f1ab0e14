"""One mail as bytes, read so that nothing in it can stop us: broken headers, charsets nobody knows, garbage."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from html.parser import HTMLParser

_LONGEST_TEXT = 100_000
_PARTS = 200
_ID = re.compile(r"<[^<>\s]{3,250}>")
_SKIPPED = frozenset({"script", "style", "head", "title"})
_BREAKS = frozenset({"br", "p", "div", "tr", "li", "blockquote", "h1", "h2", "h3"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A parsed mail (or the head of one). ``compat32`` because it raises for nothing a stranger can write."""

    parsed: Message

    @classmethod
    def read(cls, raw: bytes) -> "Mail":
        """Parse ``raw``; any bytes give a mail, an empty one at worst."""
        return cls(BytesParser(policy=compat32).parsebytes(raw))

    def header(self, name: str) -> str:
        """The first value of a header, decoded (RFC 2047) and unfolded; "" where it is missing."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        """Every value of a header."""
        return [_decoded(str(value)) for value in self.parsed.get_all(name, [])]

    def addresses(self, *names: str) -> list[str]:
        """The bare addresses in these headers, in order."""
        values = [value for name in names for value in self.headers(name)]
        try:
            found = getaddresses(values)
        except (ValueError, IndexError, RecursionError):  # what its grammar cannot take
            return []
        return [address for _, address in found if "@" in address]

    def ids(self, *names: str) -> tuple[str, ...]:
        """The message ids in these headers, the last of each header first, each once."""
        found = [one for name in names for value in self.headers(name) for one in reversed(_ID.findall(value))]
        return tuple(dict.fromkeys(found))

    def date(self) -> datetime | None:
        """The Date header in UTC; None where it is missing or none."""
        try:
            moment = parsedate_to_datetime(self.header("Date"))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        try:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (OverflowError, ValueError):
            return None

    def parts(self) -> Iterator[Message]:
        """Every part, the outermost first, into enclosed messages too; at most 200."""
        try:
            for number, part in enumerate(self.parsed.walk()):
                if number >= _PARTS:
                    return
                yield part
        except RecursionError:
            return

    def text(self) -> str:
        """What it says: the first text part that is no attachment, else its HTML as text."""
        html = ""
        for part in self.parts():
            if part.get_content_type() == "message/rfc822":
                break
            if "attachment" in str(part.get("content-disposition", "")).lower():
                continue
            if part.get_content_type() == "text/plain":
                return content(part)
            if part.get_content_type() == "text/html" and not html:
                html = content(part)
        return html_text(html) if html else self.enclosed_text()

    def enclosed_text(self) -> str:
        """What the first enclosed mail says: somebody passed it on without a word of their own."""
        for part in self.parts():
            payload = part.get_payload() if part.get_content_type() == "message/rfc822" else None
            if isinstance(payload, list) and payload and isinstance(payload[0], Message):
                return Mail(payload[0]).text()
        return ""


def content(part: Message) -> str:
    """The text of a part, whatever its transfer encoding and charset claim."""
    try:
        raw = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        raw = None
    if not isinstance(raw, bytes):
        return ""
    charset = str(part.get_content_charset() or "utf-8")
    try:
        text = raw[: 4 * _LONGEST_TEXT].decode(charset, "replace")
    except (LookupError, ValueError):
        text = raw[: 4 * _LONGEST_TEXT].decode("utf-8", "replace")
    return clean(text)[:_LONGEST_TEXT]


def clean(text: str) -> str:
    """Text that every database keeps: no NUL, no half characters, line ends as they are."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def html_text(html: str) -> str:
    """The visible words of HTML, a line for each block."""
    reader = _Words()
    try:
        reader.feed(html[: 4 * _LONGEST_TEXT])
    except (AssertionError, ValueError, RecursionError):
        return ""
    lines = (" ".join(line.split()) for line in "".join(reader.found).splitlines())
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its interface
        self._hidden += tag in _SKIPPED
        if tag in _BREAKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _SKIPPED))
        if tag in _BREAKS:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)


def _decoded(value: str) -> str:
    """RFC 2047 words decoded; what cannot be is kept as it stands."""
    value = re.sub(r"\r?\n(?=[ \t])", "", value)
    if "=?" in value:
        with suppress(LookupError, ValueError):
            value = "".join(
                piece.decode(charset or "latin-1", "replace") if isinstance(piece, bytes) else piece
                for piece, charset in decode_header(value)
            )
    return clean(value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")).strip()
