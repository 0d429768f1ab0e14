"""What every adapter is: a name, capabilities, and one delivery at a time with a known phase."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outbound.domain.customer import ChannelName
from outbound.domain.outcome import Outcome
from outbound.domain.rendered import EmailEnvelope, Rendered

Handover = Callable[[], Awaitable[bool]]
"""Awaited by an adapter once, right before the bytes that commit the provider (after SMTP's 354, before
an HTTP request). It makes the ``handoff`` phase durable, fenced by the lease. False means: the lease is
lost, send nothing and answer ``not_sent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One rendered message for one address, ready to be handed over.

    ``reference`` is the message's id and leg; the mailbox names files by it and SMS callbacks carry it.
    ``payload`` is the frozen bytes for an e-mail (``outbound.channels.email.mime``) and the text for an SMS.
    ``sender`` is the envelope sender (e-mail) or sending number; empty means the account's own.
    """

    reference: str
    channel: ChannelName
    address: str
    payload: bytes
    sender: str = ""
    customer_id: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an adapter can do. ``receipts``: it reports delivery later, so ``no_receipt`` may wait for one.

    ``lists``: it can be asked what it took (``Listing``).
    """

    channel: ChannelName
    receipts: bool
    is_mailbox: bool = False
    concurrency: int = 10
    lists: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A message to look for: whom it was for, the SHA-256 of its payload, when it was handed over (UTC)."""

    address: str
    body_hash: str
    handed_over_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """The provider's references of what fits, the nearest in time first. ``trouble``: it could not be asked."""

    references: tuple[str, ...] = ()
    trouble: str = ""


class Adapter(Protocol):
    """One provider account.

    ``pack`` turns rendered content into the exact bytes to hand over, and is pure: the same arguments
    give the same bytes. ``deliver`` never raises for anything a provider or network can do: it answers an
    Outcome. Cancellation before the handover leaves nothing behind.
    """

    name: str
    capabilities: Capabilities

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        """The frozen payload of one message."""
        ...

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        """Hand one parcel over and report the provider's immediate answer."""
        ...

    async def check(self) -> str:
        """Try the account's credentials without sending anything: "" when they work, else what is wrong."""
        ...

    async def close(self) -> None:
        """Release connections. Safe to call twice."""
        ...


class Listing(Protocol):
    """An adapter whose provider lists what it took: evidence about unknown outcomes (delivery.md 2.6)."""

    name: str

    async def look_up(self, wanted: Wanted) -> Sightings:
        """Look for one message. Never raises for anything a provider or network can do."""
        ...
