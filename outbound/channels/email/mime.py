"""An e-mail as exact bytes: pure, deterministic, CRLF, seven bits unless an address needs more.

The same content and envelope give the same bytes, so the hash kept with the message can be checked after any
handover. Nothing here reads a clock or draws a random number.
"""

import binascii
import hashlib
import re
from datetime import UTC
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from outbound.channels.email import headers
from outbound.channels.email.headers import MailRefusedError
from outbound.domain.rendered import Attachment, EmailEnvelope, Rendered, RenderedEmail

_LINE_LIMIT = 998  # RFC 5322 2.1.1
_BASE64_SHARE = 6  # quoted-printable triples each byte above 127: past one in six, base64 is smaller
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
    try:
        octets = text.replace("\n", "\r\n").encode("utf-8")
    except UnicodeEncodeError:
        raise MailRefusedError("mail.text", "the body holds half a character (a lone surrogate)") from None
    if text.isascii():
        if "\0" not in text and not _has_long_line(octets):
            return b"7bit", octets
    elif (len(octets) - len(text)) * _BASE64_SHARE > len(octets):
        return b"base64", _base64(octets)
    encoded = binascii.b2a_qp(octets, istext=True, quotetabs=False)
    # It breaks lines the way the first line of the text ends; a single line gives it no hint.
    return b"quoted-printable", encoded if b"\r\n" in octets else encoded.replace(b"=\n", b"=\r\n")


def _has_long_line(octets: bytes) -> bool:
    return len(octets) > _LINE_LIMIT and max(map(len, octets.split(b"\r\n"))) > _LINE_LIMIT


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
