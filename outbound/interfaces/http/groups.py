"""Routes that belong together, and how much of them anybody may ask for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

Scope = Mapping[str, Any]
"""An ASGI connection scope."""

KILOBYTE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """``burst`` requests at once, then ``per_second``."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one request, and of one asker over time. None: no bound.

    ``body`` in bytes; ``seconds`` from the first byte to the answer; ``per_address`` counts an IPv4 address or an
    IPv6 network of 64 bits, ``per_token`` what ``Group.token`` names.
    """

    body: int = 64 * KILOBYTE
    seconds: float = 40.0
    per_address: Rate | None = None
    per_token: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A router with its limits. ``paths`` are what its routes begin with, under the public URL's own path.

    ``token`` finds the secret that a request acts by (a signed link, an API key); requests are counted by its hash.
    """

    name: str
    router: APIRouter
    paths: tuple[str, ...]
    limits: Limits
    token: Callable[[Scope], str] | None = None


def last_segment(scope: Scope) -> str:
    """The token of a signed link: what follows the group's path."""
    return str(scope["path"]).strip("/").partition("/")[2].partition("/")[0]


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header, "" where there is none. ``name`` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
