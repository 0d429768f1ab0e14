"""Messages and runs as other systems read them."""

from datetime import datetime

from outbound.domain.errors import OutboundError
from outbound.services.preferences import require
from outbound.services.reports import RunReport, run_report
from outbound.storage import customers, message_pages, overview
from outbound.storage.database import Database
from outbound.storage.message_pages import Told


def message(database: Database, message_id: str) -> Told:
    """One message. Raises OutboundError ``message.unknown``."""
    with database.read() as connection:
        found = message_pages.one(connection, message_id)
    if found is None:
        raise OutboundError("message.unknown", "there is no such message", "give the id of a message")
    return found


def messages(database: Database, customer_id: str, *, limit: int, before: tuple[datetime, str] | None) -> list[Told]:
    """A customer's messages, newest first. Raises OutboundError ``customer.unknown``."""
    with database.read() as connection:
        identity = require(connection, customer_id)
        also = customers.merged_from(connection, identity)
        return message_pages.of_customer(connection, [identity, *also], limit=limit, before=before)


def runs(
    database: Database, *, rule: str, limit: int, before: tuple[datetime, str] | None, now: datetime
) -> list[RunReport]:
    """Runs with their sums, newest first."""
    with database.read() as connection:
        ids = overview.runs_before(connection, rule=rule, limit=limit, before=before)
        return [run_report(connection, run_id, now=now) for run_id in ids]


def run(database: Database, run_id: str, *, now: datetime) -> RunReport:
    """One run with its sums. Raises OutboundError ``run.unknown``."""
    with database.read() as connection:
        return run_report(connection, run_id, now=now)
