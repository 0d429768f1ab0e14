"""Whether a link of a mail can lead anywhere. Nothing is asked over the network."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

_HOST: Final = re.compile(r"(?=.{1,253}$)(?!-)[^\s/@<>\"'\\]+")
_BLANK: Final = re.compile(r"[\s<>\"\\^`{|}]")
_LINKS: Final = frozenset({"a", "area"})
_USELESS: Final = {
    "javascript": "scripts do nothing in mail",
    "file": "a file of this machine, which readers do not have",
    "data": "most mail programs do not show data: addresses",
    "cid": "attached pictures are not supported: use asset('NAME')",
}


def fault(tag: str, address: str, *, assets: str, known: frozenset[str]) -> str:
    """What is wrong with the address of a link or picture, "" for nothing.

    ``assets`` is the folder of brand assets, ``known`` the names in it.
    """
    address = address.strip()
    if address in {"", "#"}:
        return "leads nowhere"
    if address.startswith("#"):
        return "" if tag in _LINKS else "is no address"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "is no address"
    match parts.scheme.lower():
        case "":
            return "is relative: a mail has no page it could start from"
        case "http" | "https":
            if _BLANK.search(address):
                return "has a character that must be encoded"
            return _web(parts.hostname or "", port, address, assets=assets, known=known)
        case "mailto":
            return "" if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", unquote(parts.path)) else "is no mail address"
        case "tel" | "sms":
            return "" if re.fullmatch(r"\+?[\d().\s-]{3,}", unquote(parts.path)) else "is no phone number"
        case scheme:
            return _USELESS.get(scheme, "")


def _web(host: str, port: int | None, address: str, *, assets: str, known: frozenset[str]) -> str:
    if not _HOST.fullmatch(host) or ("." not in host and host != "localhost" and ":" not in host) or ".." in host:
        return "has no host"
    if port == 0:
        return "has no port"
    if assets and address.startswith(assets) and address.removeprefix(assets) not in known:
        return "names an asset that is not there"
    return ""
