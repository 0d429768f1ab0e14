"""A rule test as its file says it, and what can be wrong with the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from outbound.domain.customer import ChannelName, Scalar
from outbound.domain.source import Span


@dataclass(frozen=True, slots=True)
class Ambit:
    """What a word is about: a topic on one channel, or on all (None)."""

    topic: str
    channel: ChannelName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A yes or no to topics, and blocks on an address: the channel and the scope (``all`` or a class)."""

    consent: tuple[Ambit, ...] = ()
    refused: tuple[Ambit, ...] = ()
    blocked: tuple[tuple[ChannelName, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """One customer of a test. ``reach`` are the channels with an address.

    ``attributes`` are also what they stated, by the names of the customer's columns (``quiet_from``).
    """

    id: str
    attributes: Mapping[str, Scalar]
    reach: tuple[ChannelName, ...] = (ChannelName.EMAIL,)
    words: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something at ``at`` (UTC): an ``event``, a script rule ``send``, attributes that are ``set``, or ``words``."""

    at: datetime
    customers: tuple[str, ...]
    span: Span
    event: str = ""
    send: str = ""
    set: Mapping[str, Scalar] = field(default_factory=dict)
    data: Mapping[str, Scalar] = field(default_factory=dict)
    words: Words | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One message: only the fields that are written are compared. ``at`` is UTC."""

    span: Span
    at: datetime | None = None
    channel: str | None = None
    template: str | None = None
    rule: str | None = None
    topic: str | None = None
    held_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Why ``customer`` got nothing of ``rule`` ("" is any): a code, or code.detail."""

    span: Span
    customer: str
    reason: str
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One test. ``files`` are the rule files it is about; ``policy`` another policy than the set's, "" for none."""

    name: str
    span: Span
    files: tuple[str, ...]
    policy: str
    start: datetime
    stop: datetime
    zone: ZoneInfo
    customers: Mapping[str, Somebody]
    happenings: tuple[Happening, ...]
    expected: Mapping[str, tuple[Expected, ...]]
    silences: tuple[Silence, ...]

    @property
    def checks(self) -> int:
        """How many things are asserted: messages, reasons, and the silence of whoever is not listed."""
        silent = len(self.customers) - len(self.expected)
        return sum(max(len(some), 1) for some in self.expected.values()) + len(self.silences) + silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One assertion that did not hold: ``subject`` as ``ada[1]``, and the lines that say what was and what is."""

    test: str
    subject: str
    span: Span
    lines: tuple[str, ...]

    def render(self) -> str:
        """The head with its place, and the lines under it."""
        head = f"FAIL {self.test}  {self.subject}"
        place = f"{self.span.file}:{self.span.line}"
        return "\n".join((f"{head:<70}  {place}", *(f"  {line}" for line in self.lines)))
