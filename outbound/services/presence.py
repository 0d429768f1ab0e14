"""Which daemons run: each has a row that it refreshes while it lives."""

import os
import socket
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from outbound import __version__
from outbound.domain.ids import new_id
from outbound.storage.database import Database
from outbound.storage.tables import daemon


class Role(StrEnum):
    """What a daemon does: ``run`` everything, a ``worker`` only sends what is due."""

    RUN = "run"
    WORKER = "worker"


def started(database: Database, *, now: datetime, role: Role = Role.RUN, worker: str = "") -> str:
    """Record a daemon's start; returns its id. ``worker`` is its name on what it claims."""
    row = {
        "id": new_id(now),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
        "started_at": now,
        "seen_at": now,
        "role": role.value,
        "worker": worker,
    }
    with database.write() as connection:
        connection.execute(daemon.insert(), row)
    return str(row["id"])


def last_seen(database: Database) -> datetime | None:
    """When any daemon was last known to live (UTC); None where none ever ran."""
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.max(daemon.c.seen_at, type_=daemon.c.seen_at.type))).scalar()


def seen(database: Database, daemon_id: str, *, now: datetime) -> None:
    """Record that the daemon lives."""
    with database.write() as connection:
        connection.execute(sa.update(daemon).where(daemon.c.id == daemon_id).values(seen_at=now))


def stopped(database: Database, daemon_id: str, *, now: datetime) -> None:
    """Record that the daemon ended by itself."""
    with database.write() as connection:
        connection.execute(sa.update(daemon).where(daemon.c.id == daemon_id).values(seen_at=now, stopped_at=now))
