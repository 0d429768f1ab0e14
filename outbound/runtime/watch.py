"""The watch of a daemon: looks at what an operator must know of, and tells those under [alerts]."""

import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from outbound.domain.alert import AlertLevels, Notice
from outbound.services import alerts
from outbound.services.alerts import Changed, Receiver
from outbound.storage.database import Database

log = structlog.get_logger("outbound.daemon")

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Watch:
    """``folder`` is where the disk is looked at. ``in_thread`` runs what waits for the database."""

    def __init__(
        self, database: Database, folder: Path, receivers: Sequence[Receiver], levels: AlertLevels, in_thread: InThread
    ) -> None:
        self._database, self._folder = database, folder
        self._receivers, self._levels = receivers, levels
        self._in_thread = in_thread
        self._host = socket.gethostname()

    async def look(self) -> None:
        """Look once and tell what is news. Raises what the database raises; receivers never do."""
        now = datetime.now(UTC)
        changed: Changed = await self._in_thread(lambda: self._look(now))
        for one in changed.began:
            log.warning("alert", kind=str(one.kind), subject=one.subject, text=one.text, remedy=one.remedy)
        for one in changed.ended:
            log.info("alert over", kind=str(one.kind), subject=one.subject)
        await self._tell(now)

    def _look(self, now: datetime) -> Changed:
        with self._database.read() as connection:
            found = alerts.conditions(connection, self._levels, now=now)
        free = shutil.disk_usage(self._folder).free
        found += alerts.disk(self._host, str(self._folder), free, self._levels)
        return alerts.look(self._database, found, host=self._host, now=now)

    async def _tell(self, now: datetime) -> None:
        names = [receiver.name for receiver in self._receivers]
        news: dict[str, list[Notice]] = await self._in_thread(
            lambda: alerts.take(self._database, names, self._levels, now=now)
        )
        done: dict[str, list[Notice]] = {}
        for receiver in self._receivers:
            notices = news.get(receiver.name)
            if not notices:
                continue
            trouble = await receiver.tell(notices, now=now)
            if trouble:
                log.error("alert not told", receiver=receiver.name, error=trouble)
            else:
                done[receiver.name] = notices
        if done:
            await self._in_thread(lambda: alerts.told(self._database, done, now=now))
