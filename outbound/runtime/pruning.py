"""Once a day the daemon takes out what is over its time."""

from datetime import UTC, datetime

import structlog

from outbound.app import App
from outbound.services.retention import prune_daily

log = structlog.get_logger("outbound.daemon")

PRUNE_SECONDS = 3600
"""How often it is asked whether today's pruning is still to be done."""


def prune(app: App) -> None:
    """Do today's pruning, if nobody in the fleet has."""
    report = prune_daily(app.database, app.settings.retention.periods, now=datetime.now(UTC))
    if report is None:
        return
    log.info("pruned", **{one.kind: one.rows for one in report.classes})
    if not report.proven:
        log.critical("pruning is not proven", remedy="run `outbound prune` and `outbound report`")
