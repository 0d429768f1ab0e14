"""An e-mail as exact bytes: pure, deterministic, CRLF, seven bits unless an address needs more.

The same content and envelope give the same bytes, so the hash kept with the message can be checked after any
handover. Nothing here reads a clock or draws a random number.
"""

import binascii
import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from outbound.channels.email import headers, quoted
from outbound.channels.email.headers import MailRefusedError
from outbound.domain.rendered import Attachment, EmailEnvelope, Rendered, RenderedEmail

_BASE64_SHARE = 6  # quoted-printable triples each byte above 127: past one in six, base64 is smaller
READ_BACK_EVERY = 256
"""Of so many mails one is decoded again and compared before it may leave."""
_Encoded = tuple[bytes, list[bytes]]
"""Transfer encoding and, in pieces, the bytes of one text."""
_HALF = "the body holds half a character (a lone surrogate)"
_MEDIA_TYPE = re.compile(r"[a-z0-9][\w.+-]*/[a-z0-9][\w.+-]*(; ?[a-z-]+=[\w.-]+)*", re.IGNORECASE | re.ASCII)


class Mail(bytes):
    """A mail as it was written here: only CRLF line ends, the last line ended, no NUL."""

    __slots__ = ()


def pack(rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
    """``build`` in the shape every adapter's ``pack`` has."""
    if not isinstance(rendered, RenderedEmail) or envelope is None:
        raise TypeError("an e-mail adapter packs a rendered e-mail with its envelope")
    return build(rendered, envelope)


def build(rendered: RenderedEmail, envelope: EmailEnvelope) -> Mail:
    """The whole message: headers, multipart/alternative, and multipart/mixed around it with attachments.

    Raises MailRefusedError when the content cannot be a well-formed mail (a line break in the subject, an address
    that is none): that one message stops, nothing else.
    """
    message_id = envelope.message_id.strip("<>")
    text, page = _body(rendered.text, rendered.text_pieces), _body(rendered.html, rendered.html_pieces)
    readable = [body for encoding, (body, *_) in (text, page) if encoding == b"7bit"]
    kind, boundary = "alternative", _boundary("a", message_id, readable)
    body = _multipart(boundary, [_part(b"plain", *text), _part(b"html", *page)])
    is_sampled = int(boundary[-4:], 16) % READ_BACK_EVERY == 0
    if is_sampled:
        _read_back(text, rendered.text)
        _read_back(page, rendered.html)
    if rendered.attachments:
        inner = [b'Content-Type: multipart/alternative; boundary="%s"\r\n\r\n' % boundary, *body]
        kind, boundary = "mixed", _boundary("m", message_id, readable)
        body = _multipart(boundary, [inner, *([_attachment(file)] for file in rendered.attachments)])
    kinds = b'Content-Type: multipart/%s;\r\n boundary="%s"\r\n\r\n' % (kind.encode(), boundary)
    mail = Mail(b"".join([*_top(rendered, envelope), kinds, *body]))
    if is_sampled and not is_clean(mail):
        raise MailRefusedError("mail.decode_back", "the mail holds bare line ends or NUL")
    return mail


def is_clean(mail: bytes) -> bool:
    """Only CRLF line ends, the last line ended, no NUL: anything else invites SMTP smuggling (RFC 5321 2.3.8)."""
    pairs = mail.count(b"\r\n")
    return mail.endswith(b"\r\n") and mail.count(b"\r") == pairs == mail.count(b"\n") and b"\0" not in mail


def _top(rendered: RenderedEmail, envelope: EmailEnvelope) -> list[bytes]:
    lines = [
        _date(envelope.date),
        _sender(rendered.sender, rendered.language, envelope.list_id, envelope.auto_submitted),
        headers.mailbox("To", envelope.to),
        headers.message_id(envelope.message_id),
        headers.unstructured("Subject", rendered.subject),
    ]
    if rendered.reply_to:
        lines.append(headers.mailbox("Reply-To", rendered.reply_to))
    if envelope.unsubscribe_url is not None:
        lines.append(headers.url_list("List-Unsubscribe", (envelope.unsubscribe_url,)))
        lines.append(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")  # RFC 8058 3.1
    return lines


@lru_cache(maxsize=64)
def _date(date: datetime) -> bytes:
    return b"Date: " + format_datetime(date.astimezone(UTC)).encode("ascii") + b"\r\n"


@lru_cache(maxsize=1024)
def _sender(sender: str, language: str, list_id: str | None, auto_submitted: bool) -> bytes:
    """The headers that are the same for everybody who gets the same letter."""
    lines = [headers.mailbox("From", sender), b"MIME-Version: 1.0\r\n"]
    if list_id is not None:
        lines.append(headers.list_id(list_id))
    if auto_submitted:
        lines.append(b"Auto-Submitted: auto-generated\r\n")  # RFC 3834 5
    if language:
        lines.append(headers.token("Content-Language", language))
    return b"".join(lines)


def _boundary(role: str, message_id: str, readable: list[bytes]) -> bytes:
    """``=_`` cannot stand in quoted-printable or base64; what goes as it is, is searched."""
    seed = f"{role}:{message_id}"
    while True:
        boundary = b"=_" + hashlib.sha256(seed.encode()).hexdigest()[:32].encode("ascii")
        if not any(boundary in body for body in readable):
            return boundary
        seed += "+"


def _multipart(boundary: bytes, parts: Iterable[Iterable[bytes]]) -> list[bytes]:
    """The line end before a boundary belongs to the boundary (RFC 2046 5.1.1), so each part gets one of its own."""
    opening = b"--%s\r\n" % boundary
    body = []
    for part in parts:
        body += [opening, *part, b"\r\n"]
    return [*body, b"--%s--\r\n" % boundary]


def _part(subtype: bytes, encoding: bytes, body: list[bytes]) -> list[bytes]:
    kind = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n"
    return [kind % (subtype, encoding), *body]


def _body(text: str, made_of: tuple[str, ...]) -> _Encoded:
    """One text; where it is known what it was made of, only what is this reader's own is encoded."""
    if not made_of or "\r" in text:  # half of a line end may stand in each of two pieces
        return _whole(text)
    try:
        pieces = quoted.pieces_of(made_of)
    except UnicodeEncodeError:
        raise MailRefusedError("mail.text", _HALF) from None
    extra = sum([one.extra for one in pieces])
    if extra * _BASE64_SHARE > len(text) + extra or not (extra or any(one.has_long_line for one in pieces)):
        return _whole(text)
    return b"quoted-printable", quoted.from_pieces(pieces)


def _read_back(written: _Encoded, text: str) -> None:
    """Raise unless a reader sees ``text``: its lines with CRLF ends."""
    encoding, body = written[0], b"".join(written[1])
    if encoding == b"quoted-printable":
        octets = binascii.a2b_qp(body)
    else:
        octets = binascii.a2b_base64(body) if encoding == b"base64" else body
    if octets != re.sub("\r\n|\r|\n", "\r\n", text).encode():
        raise MailRefusedError("mail.decode_back", "the body does not read back as it was written")


def _whole(text: str) -> _Encoded:
    """Transfer encoding and bytes of one text, line ends made CRLF and nothing else changed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if text.isascii():
        if "\0" not in text and (len(text) <= quoted.LINE_LIMIT or max(map(len, lines)) <= quoted.LINE_LIMIT):
            return b"7bit", ["\r\n".join(lines).encode("ascii")]
        return b"quoted-printable", quoted.from_lines(lines)
    try:
        size = len(text.encode("utf-8")) + len(lines) - 1
    except UnicodeEncodeError:
        raise MailRefusedError("mail.text", _HALF) from None
    if (size - len(text)) * _BASE64_SHARE > size:
        return b"base64", [_base64("\r\n".join(lines).encode("utf-8"))]
    return b"quoted-printable", quoted.from_lines(lines)


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
    if len(parameter) >= quoted.LINE_LIMIT:
        raise MailRefusedError("mail.attachment", "an attachment's name is too long")
    return head.encode("ascii") + _base64(file.content)
