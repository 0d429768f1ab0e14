"""What stands where the provider accounts would: the real gates see the channels, and nothing can leave by them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outbound.channels.base import Capabilities, Handover, Parcel
from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.message import Message
from outbound.domain.outcome import Outcome
from outbound.domain.pace import WarmUp
from outbound.domain.policy import Topic
from outbound.domain.rendered import EmailEnvelope, Rendered
from outbound.engine.rendering import Links
from outbound.services.dispatch.breakers import Breakers
from outbound.services.dispatch.destinations import Destinations
from outbound.services.dispatch.kit import DispatchSettings, Kit
from outbound.services.dispatch.precedence import Precedence
from outbound.services.dispatch.slots import Slots
from outbound.services.dispatch.writer import Writer
from outbound.services.releases import Active, by_id
from outbound.storage.database import Database

SLICE = 1_000
"""Messages that pass the gate in one transaction: more than a daemon takes, which must be quick with each."""
_CONCURRENCY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A provider account as far as decisions go: a channel exists, and a new sender may be warmed up."""

    channel: ChannelName
    name: str
    warm_up: WarmUp | None = None


class _Unplugged:
    """An adapter that nothing is ever given to."""

    def __init__(self, account: Account) -> None:
        self.name = account.name
        self.capabilities = Capabilities(channel=account.channel, receipts=False, concurrency=_CONCURRENCY)

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        raise NotImplementedError

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        raise NotImplementedError

    async def check(self) -> str:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def unplugged(
    database: Database, accounts: Sequence[Account], *, keyring: Keyring, active: Callable[[], Active | None]
) -> Kit:
    """What the stages before the handover work with, on accounts that take everything and exist nowhere."""
    adapters = {account.channel: _Unplugged(account) for account in accounts}
    writer = Writer(database, group=SLICE)  # never asked to write: its threads never start
    freed = asyncio.Event()
    names = [account.name for account in accounts]
    return Kit(
        writer=writer,
        adapters=adapters,
        breakers=Breakers(names, writer),
        slots={name: Slots(_CONCURRENCY, freed, gate_age=1.0) for name in names},
        destinations={name: Destinations(_CONCURRENCY) for name in names},
        freed=freed,
        precedence=Precedence(),
        turns={},
        warm_ups={account.name: account.warm_up for account in accounts if account.warm_up is not None},
        refunds=Counter(),
        keyring=keyring,
        active=active,
        load_release=lambda release_id: by_id(database, release_id),
        links=_no_links,
        reply_to=lambda _reference: "",
        settings=DispatchSettings(worker="forecast", slice_size=SLICE, chunk=SLICE),
        jitter=lambda: 0.0,
    )


def _no_links(message: Message, channel: ChannelName, *, topic: Topic) -> Links:  # noqa: ARG001 - not rendered
    return Links(unsubscribe="", preferences="", assets="")
