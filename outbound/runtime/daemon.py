"""``outbound run``: APScheduler ticks; the hands plan, dispatch, recover and answer HTTP until a signal ends it."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from outbound.app import GUARD_REMEDY, App, refused_channels
from outbound.domain.message import Lane
from outbound.runtime.failures import Failures
from outbound.runtime.hands import Hand, Signs
from outbound.runtime.hints import InProcessHints
from outbound.runtime.lookout import Lookout
from outbound.runtime.posting import post_news
from outbound.runtime.pruning import PRUNE_SECONDS, prune
from outbound.runtime.serving import Listener
from outbound.runtime.watch import Watch
from outbound.services import (
    evidence,
    idempotency,
    memory,
    pauses,
    planning,
    presence,
    receipts,
    releases,
    snapshots,
    uncertain,
)
from outbound.services.dispatch import SliceReport
from outbound.services.inbox import mailbox
from outbound.storage import mark_file

T = TypeVar("T")

log = structlog.get_logger("outbound.daemon")

_RECOVER_SECONDS = 10
_HEARTBEAT_SECONDS = 10
_EVIDENCE_SECONDS = 10
_CHECKPOINT_SECONDS = 5
_MARK_SECONDS = 10
"""An idle daemon notes so often how far it is; one that works does at every tick."""
_LETTING_GO_SECONDS = 3
_LONG_DOWN = timedelta(minutes=10)


class Daemon:
    """One process of the service. A second one beside it is harmless: claims, leases and firings are unique rows."""

    def __init__(self, app: App, listener: Listener | None) -> None:
        self._app = app
        self._listener = listener
        self._hints = InProcessHints()
        self._dispatcher = app.dispatcher()
        self._inbox = app.inbox()
        self._mailbox = app.mailbox()
        self._courier = app.courier()
        self._failures = Failures()
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._planned = asyncio.Event()
        self._settle = 0.0
        self._threads: set[asyncio.Task[Any]] = set()
        root, levels = app.settings.root, app.settings.alerts.levels
        self._watching = Watch(app.database, root, app.alert_receivers(), levels, self._in_thread)
        self._worked = False
        self._marked = 0.0

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
        daemon_id = await self._in_thread(lambda: presence.started(self._app.database, now=datetime.now(UTC)))
        self._announce(daemon_id)
        self._note_absence(before)
        await self._in_thread(self._app.declare_hooks)
        await self._in_thread(self._mark)  # before anything can leave
        with self._failures.logged("upkeep"):
            await self._in_thread(lambda: self._keep_up(thorough=True))
        await self._recover()
        scheduler = self._scheduler(daemon_id)
        scheduler.start()
        hands = [asyncio.create_task(self._hand(lane), name=f"hand-{lane}") for lane in Lane]
        serving = [asyncio.create_task(self._listener.serve(), name="http")] if self._listener else []
        beside = [asyncio.create_task(self._look_out(), name="lookout")]
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

    def _signalled(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def _announce(self, daemon_id: str) -> None:
        settings, listener = self._app.settings, self._listener
        where = f"{listener.host}:{listener.port}" if listener else ""
        log.info("daemon started", daemon=daemon_id, environment=settings.environment, http=where)
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
            scheduler.add_job(job, "interval", seconds=seconds, **({"next_run_time": start} if start else {}))

        async def beat() -> None:
            with self._failures.logged("heartbeat"):
                await self._in_thread(lambda: presence.seen(self._app.database, daemon_id, now=datetime.now(UTC)))

        async def checkpoint() -> None:
            with self._failures.logged("checkpoint"):
                await self._in_thread(self._app.database.checkpoint)

        async def tidy() -> None:
            with self._failures.logged("prune"):
                await self._in_thread(lambda: prune(self._app))

        every(self._app.settings.dispatch.tick, self._tick, soon=True)
        every(_RECOVER_SECONDS, self._recover)
        every(_EVIDENCE_SECONDS, self._seek_evidence)
        every(_HEARTBEAT_SECONDS, beat)
        every(_CHECKPOINT_SECONDS, checkpoint)
        if self._mailbox is not None:
            every(self._app.settings.inbound.mail.every, self._take_mail, soon=True)
        every(self._app.settings.alerts.seconds, self._watch, soon=True)
        every(PRUNE_SECONDS, tidy)
        return scheduler

    async def _tick(self) -> None:
        """Plan what is due and hint every lane. An error is logged and the next tick tries again."""
        if self._worked or time.monotonic() - self._marked >= _MARK_SECONDS:
            with self._failures.logged("mark"):
                await self._in_thread(self._mark)
        await self._take_in()
        with self._failures.logged("plan"):
            await self._in_thread(self._plan)
        self._planned.set()
        self._hints.hint_all()

    async def _look_out(self) -> None:
        await self._planned.wait()
        lookout = Lookout(
            self._app.database,
            plan=self._plan_arrived,
            hint=lambda: self._hints.hint(Lane.EXPRESS),
            expect=self._dispatcher.expect_express,
            in_thread=self._in_thread,
            failures=self._failures,
        )
        await lookout.watch(self._stopping)

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
            taken = await self._in_thread(self._fetch_mail)
            if taken:
                log.info("mail taken in", mails=taken)

    def _fetch_mail(self) -> int:
        return mailbox.take(self._app.database, self._mailbox, now=datetime.now(UTC)).mails if self._mailbox else 0

    def _sweep_inbox(self) -> None:
        swept = self._inbox.sweep(now=datetime.now(UTC))
        if swept.matched or swept.proved:
            log.info("news matched", news=swept.matched, settled=swept.proved)

    def _mark(self) -> None:
        """Note how far we are inside and outside of the database; a database that is behind is paused (F13)."""
        self._worked, self._marked = False, time.monotonic()
        path = self._app.settings.root / mark_file.NAME
        made = snapshots.make(self._app.database, path, now=datetime.now(UTC))
        with self._failures.logged("mark"):
            snapshots.keep(path, made)
        if made.behind is not None:
            remedy = 'docs/operations.md, "Restoring an old copy", then `outbound resume all`'
            log.critical("restored snapshot: everything is paused", reason=made.behind.reason, remedy=remedy)

    def _keep_up(self, *, thorough: bool = False) -> None:
        """Close what nobody will find out any more, and finish what a killed command began."""
        now, database = datetime.now(UTC), self._app.database
        if closed := uncertain.close_old(database, now=now):
            log.warning("closed as unknown", messages=closed)
        idempotency.forget_old(database, now=now)
        active = releases.active(database)
        ruleset = active.ruleset if active else None
        if woken := pauses.go_on_waking(database, ruleset, now=now, thorough=thorough):
            log.info("resumed what a killed command had left asleep", messages=woken)

    def _move_on(self) -> None:
        active = releases.active(self._app.database)
        if active is not None:
            channels = self._app.reporting_channels()
            moved = receipts.move_on(self._app.database, active.ruleset.policy, channels, now=datetime.now(UTC))
            if moved:
                log.info("no receipt: next channel", messages=moved)

    async def _recover(self) -> None:
        with self._failures.logged("recover"):
            await self._dispatcher.recover(now=datetime.now(UTC))
        with self._failures.logged("inbox"):
            await self._in_thread(self._sweep_inbox)
        with self._failures.logged("receipts"):
            await self._in_thread(self._move_on)
        with self._failures.logged("upkeep"):
            await self._in_thread(self._keep_up)
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
                self._worked = True
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
