"""The short code by which a reader can ask whether a message is really ours."""

import hashlib

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter that reads like another sign."""
_LENGTH = 12
_GROUP = 4
_READ = {ord("O"): "0", ord("I"): "1", ord("L"): "1", **dict.fromkeys(map(ord, " -\u2013\u2014._"))}


def code_of(message_id: str) -> str:
    """The code of a message: 60 bits that follow from its id alone, so that every attempt carries the same.

    Ids are random, so codes cannot be guessed: with a hundred million messages one guess in ten thousand million hits.
    """
    number = int.from_bytes(hashlib.sha256(f"verify|{message_id}".encode()).digest()[:8]) >> 4
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))


def written(code: str) -> str:
    """As people read it out: ``K7QF-2M9X-4TRB``."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def read_code(text: str) -> str:
    """The code somebody typed, however they wrote it; "" for what cannot be one."""
    code = text.strip()[:64].upper().translate(_READ)
    return code if len(code) == _LENGTH and set(code) <= set(_ALPHABET) else ""
