"""What a mapping file says, as frozen values (docs/import.md explains every key)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName
from outbound.domain.source import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the file is written. ``separator`` and ``row_separator`` may be any text; ``quote`` empty means none.

    ``row_separator`` empty means line ends. ``columns`` names the columns of a file without a header.
    """

    format: str = "csv"
    encoding: str = "utf-8"
    separator: str = ","
    row_separator: str = ""
    quote: str = '"'
    header: bool = True
    columns: tuple[str, ...] = ()
    empty_when: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a value comes from and how it is read. Either ``column`` or ``constant`` is set."""

    span: Span
    column: str | None = None
    constant: str | None = None
    clear: bool = False
    replace: Mapping[str, str] = field(default_factory=dict)
    strip_prefix: str = ""
    format: str = ""
    true: frozenset[str] = frozenset()
    false: frozenset[str] = frozenset()
    decimal: str = "."
    country: str | None = None
    ignore_invalid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """When something happened: a column, a constant, or (``now``) the moment of the import.

    ``zone`` is the zone of times that carry no offset.
    """

    span: Span
    column: str | None = None
    constant: str | None = None
    now: bool = False
    format: str = ""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A row counts only where ``column`` holds one of ``values`` (any value at all when None)."""

    column: str
    values: frozenset[str] | None
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentSource:
    """One consent per row: what was said about ``topic``, when, and the words that prove it."""

    span: Span
    topic: str
    channel: ChannelName | None
    state: ConsentState
    at: Instant
    when: When | None = None
    wording: str = ""
    language: str = ""
    basis: str = "consent"
    confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerMapping:
    """``import: customers``. ``preferences`` uses the names of ``PREFERENCES``."""

    layout: Layout
    source: str
    key: str
    span: Span
    fields: Mapping[str, Source] = field(default_factory=dict)
    preferences: Mapping[str, Source] = field(default_factory=dict)
    consents: tuple[ConsentSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMapping:
    """``import: events``. ``shift_newest_to`` is ``now``, a time, or None: leave the times alone."""

    layout: Layout
    source: str
    event: str
    customer: str
    at: Instant
    span: Span
    id: str | None = None
    data: Mapping[str, Source] = field(default_factory=dict)
    shift_newest_to: str | None = None


PREFERENCES = {
    "channel": "preferred_channel",
    "quiet_from": "quiet_from",
    "quiet_to": "quiet_to",
    "pause_from": "pause_from",
    "pause_to": "pause_to",
    "frequency": "frequency",
}
"""Names of preferences in a mapping, to the columns they are stored in."""

RESERVED = frozenset({"email", "phone", "country", "language", "timezone"})
"""Attributes that always exist, backed by addresses and preferences (rules.md 1.9)."""
