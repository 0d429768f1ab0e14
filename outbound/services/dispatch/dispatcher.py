"""The hands of the service: a slice of due messages goes through the stages, a sweep recovers what died."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime
from typing import Any, cast

import structlog
from sqlalchemy.engine import Connection

from outbound.channels.base import Adapter
from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.message import Lane, MessageState
from outbound.domain.pace import AccountPace
from outbound.services.dispatch.breakers import Breakers
from outbound.services.dispatch.claim import claim, lease_end
from outbound.services.dispatch.destinations import Destinations
from outbound.services.dispatch.gate import gate
from outbound.services.dispatch.hand_over import hand_over
from outbound.services.dispatch.kit import DispatchSettings, Kit, LinkBuilder, Slice
from outbound.services.dispatch.pace import Turns
from outbound.services.dispatch.precedence import Precedence
from outbound.services.dispatch.record import record
from outbound.services.dispatch.render import render
from outbound.services.dispatch.report import SliceReport
from outbound.services.dispatch.retries import SECURITY
from outbound.services.dispatch.slots import Slots
from outbound.services.dispatch.writer import Writer
from outbound.services.releases import Active
from outbound.storage import outbox_claims
from outbound.storage.database import Database, database_now
from outbound.storage.outbox_claims import Recovery

log = structlog.get_logger("outbound.dispatch")

STAGES: tuple[Callable[..., AsyncGenerator[Any, None]], ...] = cast(
    "tuple[Callable[..., AsyncGenerator[Any, None]], ...]",
    (
        claim,
        gate,
        render,
        hand_over,
        record,
    ),
)
"""The way of a message. Each stage takes the slice, the kit and what the stage before it yields."""

_RENEWALS = 3
_FIRST_CHUNK = 25


class Dispatcher:
    """Claims, gates, renders, hands over and records. Belongs to one event loop; several slices may run at once.

    ``links`` builds the links of a message and ``reply_to`` the Reply-To of a mail (by message and leg, "" for the
    brand's); both must answer the same for the same message for ever.
    ``paces`` are by account name; without one an account is used as fast as it goes.
    ``load_release`` answers releases that no longer run: a message keeps the one of its first render.
    """

    def __init__(
        self,
        database: Database,
        *,
        adapters: Mapping[ChannelName, Adapter],
        keyring: Keyring,
        active: Callable[[], Active | None],
        load_release: Callable[[str], Active],
        links: LinkBuilder,
        reply_to: Callable[[str], str] = lambda _reference: "",
        settings: DispatchSettings | None = None,
        paces: Mapping[str, AccountPace] | None = None,
    ) -> None:
        self.settings = settings or DispatchSettings()
        self._writer = Writer(database, group=self.settings.group)
        self._adapters = adapters
        self._stopping = False
        self._chunks = dict.fromkeys(Lane, min(_FIRST_CHUNK, self.settings.chunk))
        freed = asyncio.Event()
        paces = paces or {}
        accounts = {adapter.name: adapter.capabilities.concurrency for adapter in adapters.values()}
        self._kit = Kit(
            writer=self._writer,
            adapters=adapters,
            breakers=Breakers(accounts, self._writer),
            slots={name: Slots(count, freed, gate_age=self.settings.gate_age) for name, count in accounts.items()},
            destinations={name: Destinations(count) for name, count in accounts.items()},
            freed=freed,
            precedence=Precedence(),
            turns={n: Turns(n, pace.rate, self._writer) for n, pace in paces.items() if pace.rate is not None},
            warm_ups={n: pace.warm_up for n, pace in paces.items() if pace.warm_up is not None},
            refunds=Counter(),
            keyring=keyring,
            active=active,
            load_release=load_release,
            links=links,
            reply_to=reply_to,
            settings=self.settings,
            stopping=lambda: self._stopping,
        )

    async def run_slice(
        self,
        lane: Lane,
        *,
        now: datetime,
        keys: tuple[str, str] | None = None,
        moved: Callable[[], None] = lambda: None,
        left: Callable[[], None] = lambda: None,
    ) -> SliceReport:
        """Take one slice of ``lane`` from claim to record; ``claimed`` 0 means that nothing was due.

        What is due on a channel whose account is stuck is left to later slices. ``now`` decides what is due and may
        be virtual. ``moved`` is called whenever something was claimed or recorded, ``left`` when all that was claimed
        has left and only answers are waited for. Raises what a stage raised
        after everything in flight was recorded; what had not begun is given back.
        """
        if self._stopping:
            return SliceReport()
        if lane is Lane.EXPRESS:
            self.expect_express()
        slice_ = Slice(lane=lane, now=now, chunk=self._chunks[lane], keys=keys, moved=moved, left=left)
        renewing = asyncio.create_task(self._renew(slice_), name="outbound-leases")
        streams: list[AsyncGenerator[Any, None]] = []
        try:
            for stage in STAGES:
                streams.append(stage(slice_, self._kit, *streams[-1:]))
            async for _ in streams[-1]:
                pass
        finally:
            if lane is Lane.EXPRESS:
                self._kit.precedence.end()
            for stream in reversed(streams):
                await stream.aclose()
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with contextlib.suppress(Exception):  # others may probe after a while
                await self._kit.breakers.withdraw(slice_.probes)
            await self._give_back(slice_)
            self._chunks[lane] = slice_.chunk
        return slice_.tally.report()

    async def recover(self, *, now: datetime) -> Recovery:
        """Take back what workers held whose lease ran out: unsent ones to ``ready``, handed-over ones ``uncertain``."""

        def sweep(connection: Connection) -> Recovery:
            lease_now = database_now(connection)
            return outbox_claims.recover_expired(connection, lease_now=lease_now, now=now, resend_delay=SECURITY[0])

        found = Recovery()
        while True:  # a sweep takes some at a time; who died may have held more
            some = await self._writer.write(sweep)
            if not some.ready and not some.uncertain:
                break
            found = Recovery(ready=found.ready + some.ready, uncertain=found.uncertain + some.uncertain)
        if found.ready or found.uncertain:
            log.warning("recovered", ready=found.ready, uncertain=found.uncertain)
        return found

    def expect_express(self) -> None:
        """Express messages are about to come: what the bulk lane does next waits for them, for a moment."""
        self._kit.precedence.claim()

    def stop(self) -> None:
        """Begin nothing new: slices that are running finish what is in flight and give the rest back."""
        self._stopping = True
        self._kit.freed.set()

    async def close(self) -> None:
        """Stop, write what waits to be written, and close the adapters."""
        self.stop()
        await self._writer.close()
        for adapter in self._adapters.values():
            await adapter.close()

    async def _renew(self, slice_: Slice) -> None:
        while True:
            await asyncio.sleep(self.settings.lease.total_seconds() / _RENEWALS)
            tokens = dict(slice_.leases)

            def renew(connection: Connection, tokens: Mapping[str, int] = tokens) -> int:
                until = lease_end(connection, self.settings.lease)
                return outbox_claims.renew(connection, tokens, lease_until=until)

            try:
                await self._writer.write(renew)
            except Exception as error:  # noqa: BLE001 - the next renewal may succeed; else the leases run out, safely
                log.error("renewal failed", error=type(error).__name__)  # noqa: TRY400 - a traceback may quote values

    async def _give_back(self, slice_: Slice) -> None:
        tokens = slice_.leases
        if not tokens:
            return
        with contextlib.suppress(Exception):  # else the leases run out and recovery finds them
            given = await self._writer.write(
                lambda connection: outbox_claims.give_back(connection, tokens, now=slice_.moment())
            )
            slice_.tally.states[MessageState.READY] += given
