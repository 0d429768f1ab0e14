"""Once a day the daemon takes out what is over its time."""

import time
from datetime import UTC, datetime

import structlog

from outbound.app import App
from outbound.services import idempotency
from outbound.services.retention import prune_daily

log = structlog.get_logger("outbound.daemon")

PRUNE_SECONDS = 3600
"""How often it is asked whether today's pruning is still to be done."""


class Pruner:
    """Deletes by the wall clock, and no more often than once in an hour of the steady one.

    A clock that jumps ahead for a while and back deletes nothing (F43).
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._last = time.monotonic()

    def prune(self) -> None:
        """Do today's pruning, if nobody in the fleet has. It waits for the database: call it in a thread."""
        if time.monotonic() - self._last < PRUNE_SECONDS * 0.9:
            return
        self._last = time.monotonic()
        now = datetime.now(UTC)
        idempotency.forget_old(self._app.database, now=now)
        report = prune_daily(self._app.database, self._app.settings.retention.periods, now=now)
        if report is None:
            return
        log.info("pruned", **{one.kind: one.rows for one in report.classes})
        if not report.proven:
            log.critical("pruning is not proven", remedy="run `outbound prune` and `outbound report`")
