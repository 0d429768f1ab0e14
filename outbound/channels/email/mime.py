"""An e-mail as exact bytes: pure, deterministic, CRLF, seven bits unless an address needs more.

The same content and envelope give the same bytes, so the hash kept with the message can be checked after any
handover. Nothing here reads a clock or draws a random number.
"""

import binascii
import hashlib
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from outbound.channels.email import headers
from outbound.channels.email.headers import MailRefusedError
from outbound.domain.rendered import Attachment, EmailEnvelope, Rendered, RenderedEmail

_LINE_LIMIT = 998  # RFC 5322 2.1.1
_BASE64_SHARE = 6  # quoted-printable triples each byte above 127: past one in six, base64 is smaller
_KEPT, _KEPT_LENGTH = 4_000, 2_000
_ESCAPED = re.compile(rb"[\x00-\x08\x0a-\x1f=\x7f-\xff]")
_COLUMNS = re.compile(rb".{73}(?:(?==)|[^=](?:(?==)|[^=]))(?!\Z)|.+", re.DOTALL)
"""75 columns, or up to the escape (=C3) that would be cut; then what is left."""
_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]*/[a-z0-9][\w.+-]*(; ?[a-z-]+=[\w.-]+)*", re.IGNORECASE | re.ASCII)


def pack(rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
    """``build`` in the shape every adapter's ``pack`` has."""
    if not isinstance(rendered, RenderedEmail) or envelope is None:
        raise TypeError("an e-mail adapter packs a rendered e-mail with its envelope")
    return build(rendered, envelope)


def build(rendered: RenderedEmail, envelope: EmailEnvelope) -> bytes:
    """The whole message: headers, multipart/alternative, and multipart/mixed around it with attachments.

    Raises MailRefusedError when the content cannot be a well-formed mail (a line break in the subject, an address
    that is none): that one message stops, nothing else.
    """
    message_id = envelope.message_id.strip("<>")
    top = _top(rendered, envelope)
    parts = (_part("plain", rendered.text), _part("html", rendered.html))
    kind, boundary, body = "alternative", *_multipart("a", message_id, parts)
    if rendered.attachments:
        inner = b'Content-Type: multipart/alternative; boundary="' + boundary + b'"\r\n\r\n' + body
        files = tuple(_attachment(file) for file in rendered.attachments)
        kind, boundary, body = "mixed", *_multipart("m", message_id, (inner, *files))
    kinds = b'MIME-Version: 1.0\r\nContent-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (kind.encode(), boundary)
    return top + kinds + body


def _top(rendered: RenderedEmail, envelope: EmailEnvelope) -> bytes:
    lines = [
        b"Date: " + format_datetime(envelope.date.astimezone(UTC)).encode("ascii") + b"\r\n",
        headers.mailbox("From", rendered.sender),
        headers.mailbox("To", envelope.to),
        headers.message_id(envelope.message_id),
        headers.unstructured("Subject", rendered.subject),
    ]
    if rendered.reply_to:
        lines.append(headers.mailbox("Reply-To", rendered.reply_to))
    if envelope.list_id is not None:
        lines.append(headers.list_id(envelope.list_id))
    if envelope.unsubscribe_url is not None:
        lines.append(headers.url_list("List-Unsubscribe", (envelope.unsubscribe_url,)))
        lines.append(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")  # RFC 8058 3.1
    if envelope.auto_submitted:
        lines.append(b"Auto-Submitted: auto-generated\r\n")  # RFC 3834 5
    if rendered.language:
        lines.append(headers.token("Content-Language", rendered.language))
    return b"".join(lines)


def _multipart(role: str, message_id: str, parts: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """Boundary and body. ``=_`` cannot stand in quoted-printable or base64; plain parts are searched."""
    seed = f"{role}:{message_id}"
    while True:
        boundary = b"=_" + hashlib.sha256(seed.encode()).hexdigest()[:32].encode("ascii")
        if not any(boundary in part for part in parts):
            break
        seed += "+"
    opening = b"--" + boundary + b"\r\n"
    # The line end before a boundary belongs to the boundary (RFC 2046 5.1.1), so each part gets one of its own.
    return boundary, b"".join(opening + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"


def _part(subtype: str, text: str) -> bytes:
    encoding, body = _body(text)
    kind = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n"
    return kind % (subtype.encode(), encoding) + body


def _body(text: str) -> tuple[bytes, bytes]:
    """Transfer encoding and bytes of one text, line ends made CRLF and nothing else changed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if text.isascii():
        if "\0" not in text and (len(text) <= _LINE_LIMIT or max(map(len, lines)) <= _LINE_LIMIT):
            return b"7bit", "\r\n".join(lines).encode("ascii")
        return b"quoted-printable", _quoted(lines)
    try:
        size = len(text.encode("utf-8")) + len(lines) - 1
    except UnicodeEncodeError:
        raise MailRefusedError("mail.text", "the body holds half a character (a lone surrogate)") from None
    if (size - len(text)) * _BASE64_SHARE > size:
        return b"base64", _base64("\r\n".join(lines).encode("utf-8"))
    return b"quoted-printable", _quoted(lines)


class _Kept(dict[str, bytes]):
    """What texts are encoded to; a short one is encoded once, since nearly all of a mail is its template's.

    Bounded: when it is full all of it goes, and with it what was somebody's own.
    """

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, text: str) -> bytes:
        encoded = self._encode(text)
        if len(text) <= _KEPT_LENGTH:
            if len(self) >= _KEPT:
                self.clear()
            self[text] = encoded
        return encoded


def _quoted(lines: list[str]) -> bytes:
    """Quoted-printable (RFC 2045 6.7) of the lines of a text, the last of which has no line end."""
    last = binascii.b2a_qp(lines.pop().encode(), istext=True, quotetabs=False)
    # Without a line end to see it breaks lines by LF alone.
    return b"".join(map(_quoted_lines.__getitem__, lines)) + last.replace(b"=\n", b"=\r\n")


def _quoted_line(line: str) -> bytes:
    """One line with its line end. Nothing before or after it counts; the standard library's bytes, put together faster.

    A value moves where a line is broken, not how its characters are written: those are kept, tag by tag.
    """
    if len(line) <= _KEPT_LENGTH or line.endswith((" ", "\t")) or "\0" in line:
        return binascii.b2a_qp(f"{line}\r\n".encode(), istext=True, quotetabs=False)
    written = b"<td".join(map(_characters.__getitem__, line.split("<td")))
    return b"=\r\n".join(_COLUMNS.findall(written)) + b"\r\n"


def _escaped(text: str) -> bytes:
    return _ESCAPED.sub(lambda found: b"=%02X" % found[0][0], text.encode())


_quoted_lines, _characters = _Kept(_quoted_line), _Kept(_escaped)


def _base64(octets: bytes) -> bytes:
    text = binascii.b2a_base64(octets, newline=False)
    return b"".join(text[at : at + 76] + b"\r\n" for at in range(0, len(text), 76))


@lru_cache(maxsize=8)
def _attachment(file: Attachment) -> bytes:
    """One file (RFC 2183); the same file goes to many people, so its encoding is kept."""
    if not _MEDIA_TYPE.fullmatch(file.media_type):
        raise MailRefusedError("mail.attachment", "an attachment has no valid media type")
    headers.refuse_controls("attachment name", file.name)
    name = file.name.replace("/", "_").replace("\\", "_")
    if re.fullmatch(r"[A-Za-z0-9 ._+()-]{1,60}", name):
        parameter = f'filename="{name}"'
    else:
        parameter = f"filename*=utf-8''{quote(name, safe='')}"  # RFC 2231 4
    head = (
        f"Content-Type: {file.media_type}\r\n"
        f"Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {parameter}\r\n\r\n"
    )
    if len(parameter) >= _LINE_LIMIT:
        raise MailRefusedError("mail.attachment", "an attachment's name is too long")
    return head.encode("ascii") + _base64(file.content)
