"""The installation itself: releases and the daemons that run them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import Json, table


class ReleaseRow(SQLModel, table=True):
    """Rules and templates published together. ``id`` is the SHA-256 of ``content``; the row never changes.

    ``content`` is the archive of all files (see ``storage.releases``), ``versions`` maps rule id to version.
    """

    __tablename__ = "release"

    id: str = Field(primary_key=True)
    content: bytes = Field(sa_type=sa.LargeBinary)
    versions: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    created_at: datetime
    created_by: str


class ActiveReleaseRow(SQLModel, table=True):
    """Append-only: which release was activated when. The newest row is the active one."""

    __tablename__ = "active_release"

    n: int | None = Field(default=None, primary_key=True)
    release_id: str
    activated_at: datetime
    activated_by: str


class InstallationRow(SQLModel, table=True):
    """Named facts of the installation (its id, the last tick), one row each."""

    __tablename__ = "installation"

    name: str = Field(primary_key=True)
    value: str


class DaemonRow(SQLModel, table=True):
    """A running daemon and when it was last seen. ``role`` is its command, ``worker`` its name on what it claims."""

    __tablename__ = "daemon"

    id: str = Field(primary_key=True)
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None = None
    role: str = Field(default="run", sa_column_kwargs={"server_default": "run"})
    worker: str = Field(default="", sa_column_kwargs={"server_default": ""})


release = table(ReleaseRow)
active_release = table(ActiveReleaseRow)
installation = table(InstallationRow)
daemon = table(DaemonRow)
