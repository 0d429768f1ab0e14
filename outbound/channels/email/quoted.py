"""Quoted-printable (RFC 2045 6.7), written from pieces that are encoded once: nearly all of a mail is its template's.

A text is encoded line by line, as the standard library does. A page comes in the pieces its template made it of: each
begins at the start of a line and ends with a soft break, so that its bytes do not depend on what stands around it.
"""

import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

LINE_LIMIT: Final = 998
"""Octets of a line without its end (RFC 5322 2.1.1)."""
_KEPT, _KEPT_CHARACTERS, _KEPT_LENGTH = 4_000, 4_000_000, 2_000
_ESCAPED = re.compile(rb"[\x00-\x08\x0a-\x1f=\x7f-\xff]")
_COLUMNS = re.compile(rb".{73}(?:(?==)|[^=](?:(?==)|[^=]))(?!\Z)|.+", re.DOTALL)
"""75 columns, or up to the escape (=C3) that would be cut; then what is left."""
_WIDTH: Final = 76
_SOFT: Final = b"=\r\n"


class Piece(NamedTuple):
    """One piece of a page as it goes on the wire. ``extra``: octets of its UTF-8 beyond one for each character.

    ``has_long_line``: it cannot go as it is, whatever stands around it.
    """

    octets: bytes
    extra: int
    has_long_line: bool


class _Kept(dict[str, T], Generic[T]):
    """What texts are encoded to. Bounded: when it is full all of it goes, and with it what was somebody's own."""

    def __init__(self, encode: Callable[[str], T], *, longest: int) -> None:
        super().__init__()
        self._encode, self._longest, self._characters = encode, longest, 0

    def __missing__(self, text: str) -> T:
        encoded = self._encode(text)
        if len(text) <= self._longest:
            if len(self) >= _KEPT or self._characters > _KEPT_CHARACTERS:
                self.clear()
                self._characters = 0
            self._characters += len(text)
            self[text] = encoded
        return encoded


def from_lines(lines: list[str]) -> list[bytes]:
    """The lines of a text, the last of which has no line end. Raises UnicodeEncodeError for half a character."""
    last = binascii.b2a_qp(lines[-1].encode(), istext=True, quotetabs=False)
    # Without a line end to see it breaks lines by LF alone.
    return [*map(_lines.__getitem__, lines[:-1]), last.replace(b"=\n", _SOFT)]


def pieces_of(texts: Iterable[str]) -> list[Piece]:
    """The pieces of a text whose line ends are line feeds. Raises UnicodeEncodeError for half a character."""
    return [*map(_pieces.__getitem__, texts)]


def from_pieces(pieces: list[Piece]) -> list[bytes]:
    """The whole text. The last piece needs no soft break, unless it ends in a blank."""
    octets = [one.octets for one in pieces if one.octets]
    last = octets[-1].removesuffix(_SOFT)
    if last.endswith((b" ", b"\t")):
        last = b"%s=\r\n=%02X" % (last[:-1], last[-1])
    return [*octets[:-1], last]


def _piece(text: str) -> Piece:
    if 0 < len(text) < _WIDTH and text.isascii() and text.isprintable() and "=" not in text:
        return Piece(text.encode() + _SOFT, 0, has_long_line=False)
    *whole, last = text.split("\n")
    octets = b"".join([_wrapped(line, ends=True) + b"\r\n" for line in whole])
    if last:
        octets += _wrapped(last, ends=False) + _SOFT
    longest = max(map(len, (*whole, last)))
    return Piece(octets, len(text.encode()) - len(text), longest > LINE_LIMIT or "\0" in text)


def _wrapped(line: str, *, ends: bool) -> bytes:
    """One line in 76 columns; a blank right before its own end would get lost on the way (RFC 2045 6.7, rule 3)."""
    written = _escaped(line)
    if ends and written.endswith((b" ", b"\t")):
        written = b"%s=%02X" % (written[:-1], written[-1])
    return _SOFT.join(_COLUMNS.findall(written))


def _line(line: str) -> bytes:
    """One line with its line end. Nothing before or after it counts; the standard library's bytes, put together faster.

    A value moves where a line is broken, not how its characters are written: those are kept, tag by tag.
    """
    if len(line) <= _KEPT_LENGTH or line.endswith((" ", "\t")) or "\0" in line:
        return binascii.b2a_qp(f"{line}\r\n".encode(), istext=True, quotetabs=False)
    written = b"<td".join(map(_characters.__getitem__, line.split("<td")))
    return _SOFT.join(_COLUMNS.findall(written)) + b"\r\n"


def _escaped(text: str) -> bytes:
    return _ESCAPED.sub(lambda found: b"=%02X" % found[0][0], text.encode())


_lines, _characters = _Kept(_line, longest=_KEPT_LENGTH), _Kept(_escaped, longest=_KEPT_LENGTH)
_pieces = _Kept(_piece, longest=_KEPT_CHARACTERS // 10)
