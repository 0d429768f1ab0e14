"""What the stages work with: the ports of the dispatcher and the state of one slice."""

import asyncio
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from outbound.channels.base import Adapter
from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.message import Lane, Message
from outbound.domain.pace import WarmUp
from outbound.domain.policy import Topic
from outbound.engine.rendering import Links
from outbound.services.dispatch.breakers import Breakers, Key
from outbound.services.dispatch.destinations import Destinations
from outbound.services.dispatch.pace import Turns
from outbound.services.dispatch.precedence import Precedence
from outbound.services.dispatch.report import Tally
from outbound.services.dispatch.slots import Slots
from outbound.services.dispatch.writer import Writer
from outbound.services.releases import Active


class LinkBuilder(Protocol):
    """The links of one message. The same arguments must give the same links for ever: the bytes are compared.

    ``topic``: its topic, as the release that words the message has it.
    """

    def __call__(self, message: Message, channel: ChannelName, *, topic: Topic) -> Links:
        """The links of ``message`` on ``channel``."""
        ...


def worker_name() -> str:
    """A name for this process that an operator recognises in the record."""
    return f"{socket.gethostname()}:{os.getpid()}:{random.randrange(16**6):06x}"  # noqa: S311 - a name, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """``slice_size`` messages are claimed together, up to ``chunk`` pass the gate together just before they leave.

    ``group`` handovers or results at most share a commit. In the bulk lane up to ``ahead`` handovers are made
    durable before their turn, which is the most a crash leaves uncertain beside those on the wire (0:
    each is marked alone). Leases are in database time and renewed three times over their length.
    A message whose gate is older than ``gate_age`` seconds when its turn comes does not leave: it goes back to
    ready and is gated again. That is promise P5's window, beside the one delivery that has begun.
    """

    worker: str = field(default_factory=worker_name)
    slice_size: int = 200
    chunk: int = 100
    group: int = 100
    ahead: int = 100
    lease: timedelta = timedelta(seconds=30)
    gate_age: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Everything a stage may use. One per dispatcher. ``freed`` is set when an account has a slot again.

    ``turns`` are of the accounts with a rate, ``warm_ups`` of those that are being warmed up; ``refunds`` are messages
    counted on an (account, day) that never tried. ``reply_to`` answers the Reply-To of a parcel's reference, "" for the
    brand's own.
    """

    writer: Writer
    adapters: Mapping[ChannelName, Adapter]
    breakers: Breakers
    slots: Mapping[str, Slots]
    destinations: Mapping[str, Destinations]
    freed: asyncio.Event
    precedence: Precedence
    turns: Mapping[str, Turns]
    warm_ups: Mapping[str, WarmUp]
    refunds: Counter[tuple[str, str]]
    keyring: Keyring
    active: Callable[[], Active | None]
    load_release: Callable[[str], Active]
    links: LinkBuilder
    reply_to: Callable[[str], str]
    settings: DispatchSettings
    jitter: Callable[[], float] = random.random
    stopping: Callable[[], bool] = lambda: False


@dataclass(slots=True, kw_only=True)
class Slice:
    """One slice on its way. ``leases`` are the messages it answers for: id to lease token.

    ``moved`` is called when something was claimed or recorded, ``left`` when nothing of it waits to leave any more.
    ``chunk`` is how many messages pass the gate together now: ``hand_over`` lowers it when the provider is
    slow, so that what the gate saw is never long past when a message leaves (promise P5).
    """

    lane: Lane
    now: datetime
    chunk: int
    keys: tuple[str, str] | None = None
    leases: dict[str, int] = field(default_factory=dict)
    moved: Callable[[], None] = lambda: None
    left: Callable[[], None] = lambda: None
    probes: list[Key] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    _started: float = field(default_factory=time.monotonic)

    @property
    def urgent(self) -> bool:
        """Whether nothing of it may wait behind the bulk lane."""
        return self.lane is not Lane.BULK

    def moment(self) -> datetime:
        """The business clock: ``now`` plus the whole seconds since the slice began."""
        return self.now + timedelta(seconds=int(time.monotonic() - self._started))
