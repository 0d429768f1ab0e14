"""``outbound run`` and ``outbound worker``: APScheduler ticks; the hands work until a signal ends it.

``run`` plans, dispatches, recovers, keeps house and answers HTTP; a worker dispatches and recovers.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from outbound.app import GUARD_REMEDY, App, refused_channels
from outbound.domain.message import Lane
from outbound.runtime.clock import Every, watch_clock
from outbound.runtime.failures import Failures
from outbound.runtime.hands import Hand, Signs
from outbound.runtime.hints import InProcessHints, carry
from outbound.runtime.household import Household
from outbound.runtime.lookout import Lookout
from outbound.runtime.posting import post_news
from outbound.runtime.pruning import PRUNE_SECONDS, Pruner
from outbound.runtime.serving import Listener
from outbound.runtime.watch import Watch
from outbound.services import evidence, memory, planning, presence, releases
from outbound.services.dispatch import SliceReport
from outbound.services.presence import Role
from outbound.storage.hints import Subject

if TYPE_CHECKING:
    from outbound.runtime.fleet import Line

T = TypeVar("T")

log = structlog.get_logger("outbound.daemon")

_RECOVER_SECONDS = 10
_HEARTBEAT_SECONDS = 10
_EVIDENCE_SECONDS = 10
_CHECKPOINT_SECONDS = 5
_LETTING_GO_SECONDS = 3
_LONG_DOWN = timedelta(minutes=10)


class Daemon:
    """One process of the service. More beside it are harmless: claims, leases and firings are unique rows.

    ``role`` WORKER: only the hands, beside a ``run`` somewhere. ``beside`` are coroutines that run as long as it does,
    given the event that ends them.
    """

    def __init__(
        self,
        app: App,
        listener: Listener | None,
        *,
        role: Role = Role.RUN,
        beside: Sequence[Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self._app = app
        self._listener = listener
        self._role = role
        self._beside = tuple(beside)
        self._hints = InProcessHints()
        self._dispatcher = app.dispatcher()
        self._inbox = app.inbox()
        self._failures = Failures()
        self._house = Household(app, self._inbox, self._failures)
        self._courier = app.courier() if role is Role.RUN else None
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._signals = 0
        self._planned = asyncio.Event()
        self._settle = 0.0
        self._threads: set[asyncio.Task[Any]] = set()
        root, levels = app.settings.root, app.settings.alerts.levels
        self._watching = Watch(app.database, root, app.alert_receivers(), levels, self._in_thread)
        self._lookout = Lookout(
            app.database,
            plan=self._plan_arrived if role is Role.RUN else None,
            hint=lambda: self._hints.hint(Lane.EXPRESS),
            expect=self._dispatcher.expect_express,
            in_thread=self._in_thread,
            failures=self._failures,
        )
        self._line = self._fleet_line()
        carry(app.database, without={Subject.EXPRESS})  # what the planner writes, its own hand is told at once

    async def run(self) -> bool:
        """Work until SIGTERM or SIGINT, then drain: nothing new is claimed, what is in flight is finished.

        A second signal ends the draining. Answers False when something was still in flight, then or after
        ``[dispatch] drain`` seconds, or when a part of the daemon died: threads may still run, and the process
        should end at once. That is safe: what is in flight keeps its lease and is recovered by the next start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        before = await self._in_thread(lambda: presence.last_seen(self._app.database))
        daemon_id = await self._in_thread(self._appear)
        self._announce(daemon_id)
        self._note_absence(before)
        if self._role is Role.RUN:
            await self._in_thread(self._app.declare_hooks)
        await self._in_thread(self._house.mark)  # before anything can leave
        if self._role is Role.RUN:
            with self._failures.logged("upkeep"):
                await self._in_thread(lambda: self._house.keep_up(thorough=True))
        await self._recover()
        scheduler = self._scheduler(daemon_id)
        scheduler.start()
        hands = [asyncio.create_task(self._hand(lane), name=f"hand-{lane}") for lane in Lane]
        serving = [asyncio.create_task(self._listener.serve(), name="http")] if self._listener else []
        clock = watch_clock(self._stopping, lambda: _run_all_now(scheduler))
        beside = [
            asyncio.create_task(self._look_out(), name="lookout"),
            asyncio.create_task(clock, name="clock"),
        ]
        if self._line is not None:
            beside.append(asyncio.create_task(self._line.listen(self._stopping), name="hints"))
        beside.extend(asyncio.create_task(one(self._stopping), name="beside") for one in self._beside)
        if self._courier is not None:
            posting = post_news(self._courier, self._stopping, in_thread=self._in_thread, failures=self._failures)
            beside.append(asyncio.create_task(posting, name="webhooks"))
        whole = await self._until_stopped([*hands, *beside, *serving])
        scheduler.shutdown(wait=False)
        finished = await self._drain([*hands, *beside])
        if self._listener:
            self._listener.stop()
            await asyncio.gather(*serving, return_exceptions=True)
        with self._failures.logged("stop"):
            await asyncio.wait_for(self._dispatcher.close(), None if finished else _LETTING_GO_SECONDS)
            await self._in_thread(lambda: presence.stopped(self._app.database, daemon_id, now=datetime.now(UTC)))
        log.info("daemon stopped", daemon=daemon_id, finished=finished)
        return finished and whole

    def _appear(self) -> str:
        worker = self._dispatcher.settings.worker
        return presence.started(self._app.database, now=datetime.now(UTC), role=self._role, worker=worker)

    def _signalled(self) -> None:
        if self._signals:
            self._hurrying.set()
        self._signals += 1
        self._stopping.set()

    def _announce(self, daemon_id: str) -> None:
        settings, listener = self._app.settings, self._listener
        where = f"{listener.host}:{listener.port}" if listener else ""
        log.info("daemon started", daemon=daemon_id, role=self._role, environment=settings.environment, http=where)
        for channel in refused_channels(settings):
            log.warning("the safety guard refuses every message", channel=channel, remedy=GUARD_REMEDY)

    def _note_absence(self, before: datetime | None) -> None:
        """Nobody looked for long: what people said and providers reported meanwhile gets time to arrive."""
        away = datetime.now(UTC) - before if before else timedelta()
        if away > _LONG_DOWN:
            self._settle = self._app.settings.dispatch.settle
            log.info("settling before the first message", seconds=self._settle, away=round(away.total_seconds()))

    async def _settled(self) -> None:
        """Wait until the events that came in are planned, and for ``[dispatch] settle`` after a long absence."""
        await self._planned.wait()
        if self._settle:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._settle)

    async def _until_stopped(self, parts: list[asyncio.Task[None]]) -> bool:
        """Wait for a signal. False: a part of the daemon ended by itself, which none should."""
        signalled = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({signalled, *parts}, return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        # A hand that was just looking sees the signal before we do, and ends as it should.
        dead = [part.get_name() for part in parts if part in done and (part.exception() or not self._stopping.is_set())]
        if dead:
            log.critical("a part of the daemon died", parts=dead)
        log.info("draining", seconds=self._app.settings.dispatch.drain)
        return not dead

    async def _drain(self, hands: list[asyncio.Task[None]]) -> bool:
        """Finish what is in flight. False: time was up, or a second signal came."""
        self._stopping.set()
        self._planned.set()
        self._lookout.wake()
        self._dispatcher.stop()
        self._hints.hint_all()
        in_flight = asyncio.gather(*hands, *self._threads, return_exceptions=True)
        hurried = asyncio.create_task(self._hurrying.wait())
        seconds = self._app.settings.dispatch.drain
        either: set[asyncio.Future[Any]] = {in_flight, hurried}
        done, _ = await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if in_flight in done:
            return True
        log.warning("not drained: the next start recovers what is in flight", hurried=self._hurrying.is_set())
        for hand in hands:
            hand.cancel()
        await asyncio.wait(hands, timeout=_LETTING_GO_SECONDS)
        return False

    def _scheduler(self, daemon_id: str) -> AsyncIOScheduler:
        # misfire_grace_time None: a late tick still runs; local times are computed by us, never by cron fields.
        scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

        def every(seconds: float, work: Callable[[], Awaitable[None]], *, soon: bool = False) -> None:
            async def job() -> None:
                with contextlib.suppress(asyncio.CancelledError):  # the end of the daemon, which is no failure
                    await work()

            start = datetime.now(UTC) if soon else None
            scheduler.add_job(job, Every(seconds), **({"next_run_time": start} if start else {}))

        async def beat() -> None:
            with self._failures.logged("heartbeat"):
                await self._in_thread(lambda: presence.seen(self._app.database, daemon_id, now=datetime.now(UTC)))

        async def checkpoint() -> None:
            with self._failures.logged("checkpoint"):
                await self._in_thread(self._app.database.checkpoint)

        pruner = Pruner(self._app)

        async def tidy() -> None:
            with self._failures.logged("prune"):
                await self._in_thread(pruner.prune)
            if self._line is not None:
                with self._failures.logged("hints"):
                    await self._line.tidy()

        every(self._app.settings.dispatch.tick, self._tick, soon=True)
        every(_RECOVER_SECONDS, self._recover)
        every(_HEARTBEAT_SECONDS, beat)
        if self._role is Role.WORKER:
            return scheduler
        every(_EVIDENCE_SECONDS, self._seek_evidence)
        every(_CHECKPOINT_SECONDS, checkpoint)
        if self._house.mailbox is not None:
            every(self._app.settings.inbound.mail.every, self._take_mail, soon=True)
        every(self._app.settings.alerts.seconds, self._watch, soon=True)
        every(PRUNE_SECONDS, tidy)
        return scheduler

    async def _tick(self) -> None:
        """Plan what is due and hint every lane. An error is logged and the next tick tries again."""
        if self._house.mark_is_due():
            with self._failures.logged("mark"):
                await self._in_thread(self._house.mark)
        await self._take_in()
        if self._role is Role.RUN:
            with self._failures.logged("plan"):
                await self._in_thread(self._plan)
        self._planned.set()
        self._hints.hint_all()

    async def _look_out(self) -> None:
        await self._planned.wait()
        await self._lookout.watch(self._stopping)

    def _fleet_line(self) -> "Line | None":
        """Where the hints of other processes are heard: PostgreSQL only, SQLite says by itself that somebody wrote."""
        if self._app.database.is_sqlite:
            return None
        from outbound.runtime.fleet import Line  # noqa: PLC0415 - only on PostgreSQL

        heard = {Subject.EXPRESS: self._lookout.wake, Subject.BULK: lambda: self._hints.hint(Lane.BULK)}
        if self._role is Role.RUN:
            heard[Subject.EVENTS] = self._lookout.tell
        return Line(self._app.database, heard, self._failures)

    def _plan_arrived(self) -> None:
        active = releases.running(self._app.database)
        planning.plan_arrived(self._app.database, active, now=datetime.now(UTC), keyring=self._app.links.keyring)

    def _plan(self) -> None:
        active = releases.running(self._app.database)
        report = planning.plan_due(self._app.database, active, now=datetime.now(UTC), keyring=self._app.links.keyring)
        memory.settle(active)
        for run, exceeded in report.counts.limited.items():
            log.warning("run waits for approval", run=run, exceeded=exceeded)

    async def _take_in(self) -> None:
        """Work on what came in: before a slice is claimed, so that what was answered is known to the gate (C13)."""
        with self._failures.logged("inbox"):
            await self._in_thread(lambda: self._inbox.work(now=datetime.now(UTC)))

    async def _take_mail(self) -> None:
        """Take what waits in the mailbox; it is worked on with everything else that came in."""
        with self._failures.logged("mailbox"):
            taken = await self._in_thread(self._house.fetch_mail)
            if taken:
                log.info("mail taken in", mails=taken)

    async def _recover(self) -> None:
        with self._failures.logged("recover"):
            await self._dispatcher.recover(now=datetime.now(UTC))
        if self._role is Role.RUN:
            with self._failures.logged("inbox"):
                await self._in_thread(self._house.sweep_inbox)
            with self._failures.logged("receipts"):
                await self._in_thread(self._house.move_on)
            with self._failures.logged("upkeep"):
                await self._in_thread(self._house.keep_up)
        self._hints.hint_all()

    async def _seek_evidence(self) -> None:
        with self._failures.logged("evidence"):
            await evidence.seek(self._app.database, tuple(self._app.adapters.values()), now=datetime.now(UTC))

    async def _watch(self) -> None:
        with self._failures.logged("alerts"):
            await self._watching.look()

    async def _hand(self, lane: Lane) -> None:
        async def work(signs: Signs) -> int:
            def moved() -> None:
                self._house.worked = True
                signs.moved()

            await self._take_in()
            report = SliceReport()
            with self._failures.logged(f"dispatch {lane}"):
                report = await self._dispatcher.run_slice(lane, now=datetime.now(UTC), moved=moved, left=signs.left)
            return report.claimed

        in_flight = sum(adapter.capabilities.concurrency for adapter in self._app.adapters.values())
        hand = Hand(work, most=in_flight + 1)
        try:
            await self._settled()
            while not self._stopping.is_set():
                await self._hints.wait(lane)
                while not self._stopping.is_set() and await hand.more():
                    pass
            await hand.finish()
        finally:
            await hand.drop()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread that draining waits for, also when the tick that began it is cancelled."""
        task = asyncio.create_task(asyncio.to_thread(work))
        self._threads.add(task)
        task.add_done_callback(self._threads.discard)
        return await asyncio.shield(task)


def _run_all_now(scheduler: AsyncIOScheduler) -> None:
    """Every job counts from now on: a clock that has been in 2039 would have left its next run there (F43)."""
    for job in scheduler.get_jobs():
        job.modify(next_run_time=datetime.now(UTC))
