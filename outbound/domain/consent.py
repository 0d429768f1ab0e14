"""Consent is a person's will, appended and never edited. A suppression is a block on an address."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outbound.domain.customer import ChannelName


class ConsentState(StrEnum):
    """What the newest consent event for a (topic, channel) says. No event at all is ``unknown``: not sendable."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proves a consent (GDPR art. 7(1)): where it was given, which words were shown, by whom it was recorded.

    ``source`` names the form, API key, import file and line, or operator; ``wording`` is the exact text shown.
    """

    source: str
    wording: str = ""
    language: str = ""
    actor: str = ""
    basis: str = "consent"
    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEvent:
    """One line of the consent ledger.

    ``channel`` None covers every channel. ``address`` is set where the consent belongs to an address
    (double opt-in). ``at`` is when the person acted, ``recorded_at`` when it was written, both UTC.
    """

    id: str
    customer_id: str
    topic: str
    channel: ChannelName | None
    state: ConsentState
    at: datetime
    recorded_at: datetime
    evidence: Evidence
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A block on an address, known only by its keyed hash. ``scope`` is ``all`` or the name of a class."""

    channel: ChannelName
    address_hash: str
    scope: str
    reason: str
    at: datetime
