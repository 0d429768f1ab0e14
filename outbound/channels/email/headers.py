"""Mail headers as bytes: our own writer, because the standard one breaks them.

``EmailMessage`` encodes long List-Unsubscribe URLs (one-click dies silently) and loses spaces between encoded
words. Here a header is either plain or wholly encoded words, and what was written is decoded back and compared
before it may leave.
"""

import binascii
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import idna

from outbound.domain.errors import OutboundError

_WIDTH = 76
_LINE_LIMIT = 998  # RFC 5322 2.1.1
_WORD_BYTES = 45  # =?utf-8?b?60 characters?= is 72 columns; RFC 2047 2 allows 75
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_LOCAL = re.compile(r"[^\s\"(),:;<>@\[\]\\]+")
_URL = re.compile(r"https?://[!-;=?-~]+")
_MESSAGE_ID = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")
_DOMAIN = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f.:IPv]+\]")
_ENCODED_WORD = re.compile(rb"=\?utf-8\?b\?([A-Za-z0-9+/=]*)\?=")


class MailRefusedError(OutboundError):
    """This message cannot become a well-formed mail. Its text names the header, never its value."""


def refuse_controls(name: str, value: str) -> str:
    """``value``, if nothing in it could start a line, end a string or hide from a reader.

    Raises MailRefusedError for control characters, line and paragraph separators and lone surrogates (RFC 5322 2.2).
    """
    if value.isprintable():
        return value
    for character in value:
        if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}:
            raise MailRefusedError("mail.header", f"{name} holds a control character (U+{ord(character):04X})")
    return value


@lru_cache(maxsize=256)
def unstructured(name: str, value: str) -> bytes:
    """A header line (or folded lines) of free text such as Subject, decoded back and compared (RFC 5322 2.2.1)."""
    refuse_controls(name, value)
    encoded = _fold_plain(name, value) if _is_plain(value) else _encoded_words(name, value)
    return f"{name}: ".encode("ascii") + _verified(name, encoded, value) + b"\r\n"


@lru_cache(maxsize=1024)
def mailbox(name: str, value: str) -> bytes:
    """A header line of one mailbox: ``address`` or ``Display name <address>`` (RFC 5322 3.4)."""
    refuse_controls(name, value)
    display, address = split_mailbox(value)
    wire = normal_address(address, name).encode()
    if not display:
        return f"{name}: ".encode("ascii") + wire + b"\r\n"
    if _PHRASE.fullmatch(display) and _is_plain(display) and len(display) < _WIDTH - len(name):
        phrase = display.encode("ascii")
    else:
        phrase = _verified(name, _encoded_words(name, display), display)
    gap = b"\r\n " if len(name) + len(phrase) + len(wire) > _WIDTH - 6 else b" "
    return f"{name}: ".encode("ascii") + phrase + gap + b"<" + wire + b">\r\n"


def split_mailbox(value: str) -> tuple[str, str]:
    """Display name and address of ``Name <address>``; the name is empty for a bare address."""
    value = value.strip()
    if not value.endswith(">"):
        return "", value
    display, _, address = value[:-1].rpartition("<")
    display = display.strip()
    if len(display) > 1 and display[0] == display[-1] == '"':
        display = re.sub(r"\\(.)", r"\1", display[1:-1])
    return display, address.strip()


@lru_cache(maxsize=65536)
def normal_address(address: str, name: str = "address") -> str:
    """The address as it goes on the wire: an IDNA domain, the local part kept as it is (RFC 6531 when not ASCII).

    Raises MailRefusedError when it could break out of a header or an SMTP command.
    """
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not domain:
        raise MailRefusedError("mail.address", f"{name} is not an e-mail address")
    refuse_controls(name, local)
    if _DOMAIN.fullmatch(domain):
        return f"{local}@{domain}"
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except (idna.IDNAError, UnicodeError):
        raise MailRefusedError("mail.address", f"{name} has a domain that cannot be encoded") from None


def url_list(name: str, urls: Sequence[str]) -> bytes:
    """A header of URLs in angle brackets, each whole and unencoded, folded only after a comma (RFC 2369 2)."""
    for url in urls:
        if not _URL.fullmatch(url):
            raise MailRefusedError("mail.url", f"{name} holds a URL that is not plain ASCII http(s)")
    line = f"{name}: ".encode("ascii") + b",\r\n ".join(b"<" + url.encode("ascii") + b">" for url in urls)
    return _bounded(name, line) + b"\r\n"


@lru_cache(maxsize=1024)
def list_id(value: str) -> bytes:
    """``List-Id: Description <list.example>`` (RFC 2919 2); a value without brackets gets them.

    A part of the id beyond ASCII is written in IDNA.
    """
    refuse_controls("List-Id", value)
    phrase, _, label = value.rstrip("> ").rpartition("<")
    phrase = phrase.strip().strip('"')
    label = ".".join(part if part.isascii() else _ascii_label(part) for part in label.split("."))
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", label):
        raise MailRefusedError("mail.header", "List-Id is not of the form name.domain")
    if not phrase:
        words = b""
    elif _PHRASE.fullmatch(phrase) and _is_plain(phrase) and len(phrase) < _WIDTH:
        words = phrase.encode("ascii") + b" "
    else:
        words = _verified("List-Id", _encoded_words("List-Id", phrase), phrase) + b" "
    return b"List-Id: " + words + b"<" + label.encode("ascii") + b">\r\n"


def message_id(value: str) -> bytes:
    """``Message-ID: <left@right>`` (RFC 5322 3.6.4), brackets or not; a domain beyond ASCII is written in IDNA."""
    left, _, right = value.strip("<>").rpartition("@")
    if not right.isascii():
        right = normal_address(f"x@{right}", "Message-ID").removeprefix("x@")
    whole = f"{left}@{right}"
    if not _MESSAGE_ID.fullmatch(whole):
        raise MailRefusedError("mail.header", "Message-ID is not of the form left@right")
    return _bounded("Message-ID", b"Message-ID: <%s>" % whole.encode("ascii")) + b"\r\n"


def token(name: str, value: str) -> bytes:
    """A header whose value is a short ASCII word of the protocol, written as it stands."""
    if not re.fullmatch(r"[!-~]+", value):
        raise MailRefusedError("mail.header", f"{name} is not a plain ASCII word")
    return _bounded(name, f"{name}: {value}".encode("ascii")) + b"\r\n"


def _ascii_label(part: str) -> str:
    try:
        return idna.encode(part, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise MailRefusedError("mail.header", "List-Id has a domain that cannot be encoded") from None


def _is_plain(value: str) -> bool:
    return value.isascii() and "=?" not in value and value == value.strip()


def _fold_plain(name: str, value: str) -> bytes:
    """ASCII text folded before single spaces; whole encoded words where a stretch is too long to fold."""
    if len(name) + 2 + len(value) <= _WIDTH:
        return value.encode("ascii")
    lines, line, room = [], "", _WIDTH - len(name) - 2
    for word in re.findall(r" *[^ ]+", value):
        if line and len(line) + len(word) > room:
            lines.append(line)
            line, room = "", _WIDTH
        line += word
        if len(line) > room:
            return _encoded_words(name, value)
    return "\r\n".join([*lines, line]).encode("ascii")


def _encoded_words(name: str, value: str) -> bytes:
    """The whole value as base64 words of at most 75 columns, no character split between two (RFC 2047 5)."""
    octets = value.encode("utf-8")
    words: list[bytes] = []
    at = 0
    # The first line also carries the header's name, and =?utf-8?b? ?= takes 12 columns of it.
    limit = max(9, (_WIDTH - len(name) - 2 - 12) // 4 * 3)
    while at < len(octets) or not words:
        end = at + limit
        while end < len(octets) and octets[end] & 0xC0 == 0x80:  # noqa: PLR2004 - inside a UTF-8 character
            end -= 1
        words.append(binascii.b2a_base64(octets[at:end], newline=False))
        at, limit = end, _WORD_BYTES
    return b"\r\n ".join(b"=?utf-8?b?" + word + b"?=" for word in words)


def _verified(name: str, wire: bytes, value: str) -> bytes:
    """``wire``, after reading it as a recipient does; raises MailRefusedError if it does not say ``value``."""
    if _read(wire) != value:
        raise MailRefusedError("mail.decode_back", f"{name} does not read back as it was written")
    return _bounded(name, wire)


def _read(wire: bytes) -> str:
    """What a reader sees: unfolded (RFC 5322 2.2.3), the space between encoded words dropped (RFC 2047 6.2)."""
    unfolded = wire.replace(b"\r\n", b"")
    if b"=?" not in unfolded:
        return unfolded.decode("ascii")
    joined = re.sub(rb"\?=[ \t]+=\?", b"?==?", unfolded)
    octets = _ENCODED_WORD.sub(lambda found: binascii.a2b_base64(found[1]), joined)
    return octets.decode("utf-8", "replace")


def _bounded(name: str, wire: bytes) -> bytes:
    if len(wire) > _WIDTH and any(len(line) > _LINE_LIMIT - len(name) - 2 for line in wire.split(b"\r\n")):
        raise MailRefusedError("mail.header", f"{name} is longer than a mail line may be")
    return wire
