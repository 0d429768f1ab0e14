"""The values that travel from stage to stage."""

from dataclasses import dataclass, field
from email.utils import parseaddr
from functools import lru_cache

from outbound.channels.base import Parcel
from outbound.domain.customer import ChannelName, Customer
from outbound.domain.message import Message
from outbound.domain.outcome import Outcome
from outbound.domain.policy import Policy
from outbound.services.dispatch.breakers import Key
from outbound.services.releases import Active
from outbound.storage.outbox_gate import Begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A message whose attempt has started. ``release`` fixes its words, ``policy`` is today's.

    ``in_doubt``: an earlier handover on this leg whose outcome nobody knows; such a message ends ``sent`` or
    ``uncertain``, never anything else. ``probes``: the paused account or destination that it tries.
    ``tried`` are the channels of legs that are over. ``gated_at`` is when its gate began to look, in seconds of
    ``time.monotonic``: what was revoked later it has not seen. ``domain`` is the destination of an e-mail.
    ``turn`` is when the account's rate lets it leave, on the same clock.
    ``counted_on`` is the day of a warm-up that it counts for.
    """

    message: Message
    begin: Begin
    customer: Customer
    release: Active
    policy: Policy
    gated_at: float
    in_doubt: bool = False
    domain: str = ""
    probes: tuple[Key, ...] = ()
    turn: float | None = None
    counted_on: str = ""
    tried: tuple[ChannelName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Rendered: the exact bytes, to be handed over. ``marked``: the handover is durable already.

    ``parts`` are the segments of an SMS, what it is charged by.
    """

    passed: Passed
    parcel: Parcel
    body_hash: str
    marked: bool = False
    parts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of one attempt, before it is written.

    ``stop`` is set where rendering ended it instead of a provider: why, and whether nobody can know.
    """

    passed: Passed
    outcome: Outcome
    stop: "RenderFailure | None" = field(default=None)
    unspent: bool = False
    """It never tried (account paused, gate too old, worker stopping): back to ready as if nothing had been."""
    parts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderFailure:
    """``detail`` is for the record. ``changed``: the bytes differ from those of an earlier handover."""

    detail: str
    changed: bool = False


@lru_cache(maxsize=64)
def domain_of(sender: str) -> str:
    """The domain in ``Name <address>``; senders are few, parsing is slow."""
    return parseaddr(sender)[1].rpartition("@")[2] or "localhost"
