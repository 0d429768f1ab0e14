"""DKIM signatures (RFC 6376, RFC 8463): relaxed/relaxed, put before a finished mail at the moment it leaves.

A signature is no part of the frozen bytes, so that a new key does not make a repeated mail look like another
one. It holds no time and no random number: with the same key, the same mail leaves as the same bytes.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from outbound.channels.email.dkim_keys import DkimKey

SIGNED = (
    *("from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type"),
    *("list-id", "list-unsubscribe", "list-unsubscribe-post"),
)
"""The headers under the signature where a mail has them (RFC 6376 5.4.1; RFC 8058 4 wants the last two)."""
SEALED = frozenset({"from", "to", "subject", "date", "reply-to", "content-type"})
"""Named once more than they occur: a second one added on the way breaks the signature (RFC 6376 8.15)."""
_WIDTH = 72


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
        senders = found.get("from", ())
        keys = self._keys.get(_domain(senders[-1])) if senders else None
        if not keys:
            return mail
        names = tuple(name for name in SIGNED for _ in range(len(found.get(name, ())) + _extra(name, found)))
        # Several of one name count from the last one upwards (RFC 6376 5.4.2).
        lines = b"".join(line + b"\r\n" for name in SIGNED for line in reversed(found.get(name, ())))
        digest = base64.b64encode(hashlib.sha256(_canonical_body(body)).digest())
        return b"".join(_signature(key, names, digest, lines) for key in keys) + mail


def _signature(key: DkimKey, names: tuple[str, ...], digest: bytes, lines: bytes) -> bytes:
    unsigned = _opening(key.algorithm, key.domain, key.selector, names) + digest + b";\r\n b="
    # Unfolded, this header is in canonical form already but for its name.
    octets = lines + b"dkim-signature:" + unsigned.replace(b"\r\n", b"")
    value = base64.b64encode(key.sign(octets))
    folded = b"\r\n ".join(value[at : at + _WIDTH] for at in range(0, len(value), _WIDTH))
    return b"DKIM-Signature: " + unsigned + folded + b"\r\n"


@lru_cache(maxsize=256)
def _opening(algorithm: str, domain: str, selector: str, names: tuple[str, ...]) -> bytes:
    """The header's value up to the hash of the body; few mails differ in it."""
    lines, line = [], "h="
    for number, name in enumerate(names):
        word = name if number == len(names) - 1 else f"{name}:"
        if len(line) + len(word) > _WIDTH:
            lines.append(line)
            line = ""
        line += word
    fields = "\r\n ".join([*lines, f"{line};"])
    return f"v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={domain}; s={selector};\r\n {fields}\r\n bh=".encode("ascii")


def _canonical_headers(head: bytes) -> dict[str, list[bytes]]:
    """Every header in relaxed form (RFC 6376 3.4.2) without its line end, by lower-case name, in order."""
    unfolded = head.replace(b"\t", b" ").replace(b"\r\n ", b" ")
    found: dict[str, list[bytes]] = {}
    for line in unfolded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        label = name.strip().lower()
        squeezed = b" ".join(filter(None, value.split(b" ")))
        found.setdefault(label.decode("ascii", "replace"), []).append(label + b":" + squeezed)
    return found


def _canonical_body(body: bytes) -> bytes:
    """The body in relaxed form (RFC 6376 3.4.4), by steps that each run in C: bodies are long."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ")
    while body.endswith(b"\r\n"):
        body = body[:-2]
    return body + b"\r\n" if body else b""


def _extra(name: str, found: Mapping[str, Sequence[bytes]]) -> int:
    return 1 if name in SEALED and name in found else 0


def _domain(sender: bytes) -> bytes:
    """The domain of a canonical From; in our mails the address stands last."""
    return sender.rstrip(b"> ").rpartition(b"@")[2].lower()
