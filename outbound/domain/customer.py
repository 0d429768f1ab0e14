"""The person, their addresses and how they want to be contacted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum

Scalar = str | int | float | bool | None
"""An attribute value as JSON holds it; dates are ISO 8601 text (``2026-11-22``)."""


class ChannelName(StrEnum):
    """A way to reach a person."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    WHATSAPP = "whatsapp"
    VOICE = "voice"
    LETTER = "letter"
    INBOX = "inbox"
    CHAT = "chat"


class AddressState(StrEnum):
    """``ok`` can be tried; ``unreachable`` is kept but never used (a possible but invalid phone number)."""

    OK = "ok"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One way to reach one customer. ``value`` is normalised: E.164 for phones, domain in lower case for e-mail."""

    channel: ChannelName
    value: str
    state: AddressState = AddressState.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQuietHours:
    """The customer's own hours without messages, wall clock in their zone; half-open, may cross midnight."""

    start: time
    end: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Days on which the customer wants nothing, first and last day included, in their zone."""

    start: date
    end: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """How the customer wants to be contacted. None means: not stated. ``fewer``: asked for fewer messages."""

    channel: ChannelName | None = None
    language: str | None = None
    timezone: str | None = None
    quiet_hours: OwnQuietHours | None = None
    pauses: tuple[Pause, ...] = ()
    fewer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A person as rules and templates see them.

    ``attributes`` holds what rules/schema.yaml declares; the reserved id, email, phone, country, language
    and timezone are backed by ``addresses`` and ``preference``. ``zone_source`` is what the send zone is
    worked out from (see ``engine.timing.zones``).
    """

    id: str
    country: str | None = None
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    addresses: tuple[Address, ...] = ()
    preference: Preference = Preference()
    zone_source: str = ""
    updated_at: datetime | None = None

    def address(self, channel: ChannelName) -> Address | None:
        """The customer's address on ``channel``, reachable or not."""
        for address in self.addresses:  # a plain loop: asked several times for each of millions
            if address.channel is channel:
                return address
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a customer. ``at`` is when it happened, ``received_at`` when we learned of it."""

    id: str
    name: str
    customer_id: str
    data: Mapping[str, Scalar]
    at: datetime
    received_at: datetime
