"""Who saw, exported or changed what of whom (C44). One log with what operators did to the running service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outbound.storage import operations
from outbound.storage.database import Database
from outbound.storage.operations import Operation

SHOWN = "customer.show"
"""Somebody read a customer's record."""


def note(
    database: Database,
    *,
    kind: str,
    customer_id: str,
    by: str,
    now: datetime,
    details: Mapping[str, Any] | None = None,
    why: str = "",
) -> None:
    """Write down that ``by`` did ``kind`` (``customer.show``, ``consent.grant``) with a customer's record."""
    with database.write() as connection:
        operations.record(connection, kind=kind, subject=customer_id, by=by, note=why, now=now, details=details)


def listed(
    database: Database, *, by: str = "", about: str = "", kind: str = "", since: datetime | None = None, limit: int = 50
) -> tuple[Operation, ...]:
    """The newest entries: of one person, about one customer, of kinds that begin so, from ``since`` on."""
    with database.read() as connection:
        return operations.listed(connection, by=by, about=about, kind=kind, since=since, limit=limit)
