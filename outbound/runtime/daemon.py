"""``outbound run``: APScheduler ticks; the hands plan, dispatch, recover and answer HTTP until a signal ends it."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime

import structlog
import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import FastAPI

from outbound.app import App
from outbound.domain.errors import OutboundError
from outbound.domain.message import Lane
from outbound.runtime.hints import InProcessHints
from outbound.runtime.serving import make_server
from outbound.services import planning, presence, releases

log = structlog.get_logger("outbound.daemon")

_RECOVER_SECONDS = 10
_HEARTBEAT_SECONDS = 10


class Daemon:
    """One process of the service. A second one beside it is harmless: claims, leases and firings are unique rows."""

    def __init__(self, app: App, site: FastAPI | None) -> None:
        self._app = app
        self._site = site
        self._hints = InProcessHints()
        self._dispatcher = app.dispatcher()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then drain: nothing new is claimed, what is in flight is finished.

        A second signal is safe: whatever is still in flight keeps its lease and is recovered by the next start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        settings = self._app.settings
        daemon_id = await asyncio.to_thread(presence.started, self._app.database, now=datetime.now(UTC))
        log.info("daemon started", daemon=daemon_id, environment=settings.environment)
        await self._recover()
        scheduler = self._scheduler(daemon_id)
        scheduler.start()
        server = self._server()
        hands = [asyncio.create_task(self._hand(lane), name=f"hand-{lane}") for lane in Lane]
        serving = asyncio.create_task(server.serve(), name="http") if server else None
        try:
            await self._stopping.wait()
            log.info("draining", seconds=settings.dispatch.drain)
        finally:
            scheduler.shutdown(wait=False)
            self._dispatcher.stop()
            self._hints.hint_all()
            await asyncio.wait(hands, timeout=settings.dispatch.drain)
            for hand in hands:
                hand.cancel()
            await asyncio.gather(*hands, return_exceptions=True)
            if server and serving:
                server.should_exit = True
                await serving
            await self._dispatcher.close()
            await asyncio.to_thread(presence.stopped, self._app.database, daemon_id, now=datetime.now(UTC))
            log.info("daemon stopped", daemon=daemon_id)

    def _scheduler(self, daemon_id: str) -> AsyncIOScheduler:
        # misfire_grace_time None: a late tick still runs; local times are computed by us, never by cron fields.
        scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

        def every(seconds: float, work: Callable[[], Awaitable[None]], *, soon: bool = False) -> None:
            start = datetime.now(UTC) if soon else None
            scheduler.add_job(work, "interval", seconds=seconds, **({"next_run_time": start} if start else {}))

        async def beat() -> None:
            await asyncio.to_thread(presence.seen, self._app.database, daemon_id, now=datetime.now(UTC))

        every(self._app.settings.dispatch.tick, self._tick, soon=True)
        every(_RECOVER_SECONDS, self._recover)
        every(_HEARTBEAT_SECONDS, beat)
        return scheduler

    async def _tick(self) -> None:
        """Plan what is due and hint every lane. An error is logged and the next tick tries again."""
        with _logged("plan"):
            await asyncio.to_thread(self._plan)
        self._hints.hint_all()

    def _plan(self) -> None:
        active = releases.active(self._app.database)
        if active is not None:
            planning.plan_due(self._app.database, active, now=datetime.now(UTC), keyring=self._app.links.keyring)

    async def _recover(self) -> None:
        with _logged("recover"):
            await self._dispatcher.recover(now=datetime.now(UTC))
        self._hints.hint_all()

    async def _hand(self, lane: Lane) -> None:
        while not self._stopping.is_set():
            await self._hints.wait(lane)
            with _logged("dispatch"):
                while not self._stopping.is_set():
                    report = await self._dispatcher.run_slice(lane, now=datetime.now(UTC))
                    if not report.claimed:
                        break

    def _server(self) -> uvicorn.Server | None:
        if self._site is None:
            return None
        return make_server(self._site, self._app.settings.server.host, self._app.settings.server.port)


@contextlib.contextmanager
def _logged(stage: str) -> Iterator[None]:
    """Log an error of one tick and go on: the record is the truth, and the next tick reads it again."""
    try:
        yield
    except OutboundError as error:
        log.error("tick failed", stage=stage, code=error.code, error=error.message)  # noqa: TRY400 - no traceback: it may quote data
    except Exception as error:  # noqa: BLE001 - the daemon outlives any single failure
        log.error("tick failed", stage=stage, error=type(error).__name__)  # noqa: TRY400 - likewise
