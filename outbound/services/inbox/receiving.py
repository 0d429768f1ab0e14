"""Receipt: a webhook is answered once it is durable, and many share one commit (group commit)."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from outbound.domain.ids import new_id
from outbound.services.dispatch import points
from outbound.storage import inbox
from outbound.storage.database import Database
from outbound.storage.inbox import Raw

_GROUP = 200


def raw(provider: str, key: str, body: bytes, *, head: dict[str, Any], now: datetime) -> Raw:
    """What arrived, under its provider's key or else the hash of its bytes."""
    known = key[:300] or "sha256:" + hashlib.sha256(body).hexdigest()
    return Raw(id=new_id(now), provider=provider, key=known, raw=body, head=head, received_at=now)


def keep(database: Database, arrived: Sequence[Raw]) -> int:
    """Make them durable. Answers how many were new."""
    with database.write() as connection:
        fresh = inbox.keep(connection, arrived)
        points.hit("inbox.open")
    points.hit("inbox.done")
    return fresh


class Receiver:
    """Keeps what arrives while a commit is under way, and commits it with the next one.

    One at a time: the time of a commit is what gathers a group, so that nobody waits for a timer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Raw, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, arrived: Raw) -> None:
        """Return once ``arrived`` is durable. Raises what the database raised, for all of the group."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((arrived, done))
        if self._writer is None or self._writer.done() or self._writer.get_loop() is not loop:
            self._writer = asyncio.create_task(self._write(), name="inbox")
        await done

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            try:
                await asyncio.to_thread(keep, self._database, [one for one, _ in group])
            except Exception as error:  # noqa: BLE001 - whoever waits is told
                for _, done in group:
                    if not done.cancelled():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.cancelled():
                        done.set_result(None)
