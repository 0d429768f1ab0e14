"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, put before a finished mail at the moment it leaves.

A signature is no part of the frozen bytes, so that a new key does not make a repeated mail look like another
one. It holds no time and no random number: with the same key, the same mail leaves as the same bytes.
"""

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from outbound.channels.email.dkim_keys import DkimKey

SIGNED = (
    *(b"from", b"to", b"subject", b"date", b"message-id", b"reply-to", b"mime-version", b"content-type"),
    *(b"list-id", b"list-unsubscribe", b"list-unsubscribe-post"),
)
"""The headers under the signature where a mail has them (RFC 6376 5.4.1; RFC 8058 4 wants the last two)."""
SEALED = frozenset({b"from", b"to", b"subject", b"date", b"reply-to", b"content-type"})
"""Named once more than they occur: a second one added on the way breaks the signature (RFC 6376 8.15)."""
_WIDTH = 72
_SPACES = re.compile(rb"   *")
_LINE_END = re.compile(rb" \r\n")


class Signer:
    """Signs for the domains it has keys for, with every key of the domain in From."""

    def __init__(self, keys: Iterable[DkimKey]) -> None:
        by_domain: defaultdict[bytes, list[DkimKey]] = defaultdict(list)
        for key in keys:
            by_domain[key.domain.encode("ascii")].append(key)
        self._keys: Mapping[bytes, Sequence[DkimKey]] = dict(by_domain)

    def signed(self, mail: bytes) -> bytes:
        """The mail with its signatures in front; as it was where there is no key for the domain in From.

        ``mail`` is CRLF throughout, headers and body apart by an empty line.
        """
        head, _, body = mail.partition(b"\r\n\r\n")
        found = _canonical_headers(head)
        senders = found.get(b"from", ())
        keys = self._keys.get(_domain(senders[-1])) if senders else None
        if not keys:
            return mail
        names: list[bytes] = []
        lines: list[bytes] = []
        for name in SIGNED:
            if several := found.get(name):
                names += [name] * (len(several) + (name in SEALED))
                lines += reversed(several)  # those of one name count from the last one upwards (RFC 6376 5.4.2)
        digest = base64.b64encode(hashlib.sha256(_canonical_body(body)).digest())
        return b"".join(_signature(key, tuple(names), digest, lines) for key in keys) + mail


def _signature(key: DkimKey, names: tuple[bytes, ...], digest: bytes, lines: Sequence[bytes]) -> bytes:
    unsigned = _opening(key.algorithm, key.domain, key.selector, names) + digest + b";\r\n b="
    # Unfolded, this header is in canonical form already but for its name.
    octets = b"\r\n".join((*lines, b"dkim-signature:" + unsigned.replace(b"\r\n", b"")))
    value = base64.b64encode(key.sign(octets))
    folded = b"\r\n ".join(value[at : at + _WIDTH] for at in range(0, len(value), _WIDTH))
    return b"DKIM-Signature: " + unsigned + folded + b"\r\n"


@lru_cache(maxsize=256)
def _opening(algorithm: str, domain: str, selector: str, names: tuple[bytes, ...]) -> bytes:
    """The header's value up to the hash of the body; few mails differ in it."""
    lines, line = [], b"h="
    for number, name in enumerate(names):
        word = name if number == len(names) - 1 else name + b":"
        if len(line) + len(word) > _WIDTH:
            lines.append(line)
            line = b""
        line += word
    fields = b"\r\n ".join([*lines, line])
    who = f"v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={domain}; s={selector};\r\n ".encode("ascii")
    return who + fields + b";\r\n bh="


def _canonical_headers(head: bytes) -> dict[bytes, list[bytes]]:
    """Every header in relaxed form (RFC 6376 3.4.2) without its line end, by lower-case name, in order."""
    unfolded = head.replace(b"\t", b" ").replace(b"\r\n ", b" ")
    if b"  " in unfolded:
        unfolded = _SPACES.sub(b" ", unfolded)
    found: dict[bytes, list[bytes]] = {}
    for line in unfolded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        label = name.rstrip(b" ").lower()
        found.setdefault(label, []).append(label + b":" + value.strip(b" "))
    return found


def _canonical_body(body: bytes) -> bytes:
    """The body in relaxed form (RFC 6376 3.4.4). Patterns that begin with two or more literals search fastest."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    body = _LINE_END.sub(b"\r\n", _SPACES.sub(b" ", body)).removesuffix(b" ")
    while body.endswith(b"\r\n\r\n"):
        body = body[:-2]
    if not body.endswith(b"\r\n"):
        return body + b"\r\n" if body else b""
    return body if len(body) > len(b"\r\n") else b""


def _domain(sender: bytes) -> bytes:
    """The domain of a canonical From; in our mails the address stands last."""
    return sender.rstrip(b"> ").rpartition(b"@")[2].lower()
