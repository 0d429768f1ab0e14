"""Releases as they are kept: one immutable row per content, and the append-only list of activations."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.ids import content_hash
from outbound.domain.release import Files
from outbound.storage import tables
from outbound.storage.prepared import Prepared

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a ZIP can hold: the same files give the same bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One entry of the list: the release that became active, when, and the rules in it (id to version)."""

    n: int
    release_id: str
    activated_at: datetime
    versions: Mapping[str, str]


def pack(files: Files) -> bytes:
    """One archive of all files, the same bytes for the same files: sorted, undated, uncompressed.

    Uncompressed because two builds of zlib compress differently, and the name of a release is the hash of this.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[path])
    return buffer.getvalue()


def unpack(content: bytes) -> Files:
    """The files of an archive made by ``pack``."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpack_some(content: bytes, names: Iterable[str]) -> Files:
    """Those of ``names`` that an archive made by ``pack`` holds."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        held = set(archive.namelist())
        return {name: archive.read(name) for name in names if name in held}


def store(connection: Connection, content: bytes, *, versions: Mapping[str, str], by: str, now: datetime) -> str:
    """Keep an archive, once, and answer its id (the SHA-256 of ``content``)."""
    release_id = content_hash(content)
    known = connection.execute(sa.select(tables.release.c.id).where(tables.release.c.id == release_id)).first()
    if known is None:
        row = {
            "id": release_id,
            "content": content,
            "versions": dict(versions),
            "created_at": now,
            "created_by": by,
        }
        connection.execute(tables.release.insert(), row)
    return release_id


def activate(connection: Connection, release_id: str, *, by: str, now: datetime) -> None:
    """Append an activation: from this commit on, ``release_id`` is what runs."""
    row = {"release_id": release_id, "activated_at": now, "activated_by": by}
    connection.execute(tables.active_release.insert(), row)


def newest(connection: Connection) -> tuple[int, str] | None:
    """Number and release of the newest activation."""
    rows = _newest_query(connection.dialect.name).rows(connection)
    return (rows[0][0], rows[0][1]) if rows else None


@cache
def _newest_query(_dialect: str) -> Prepared:
    listed = tables.active_release
    return Prepared(sa.select(listed.c.n, listed.c.release_id).order_by(listed.c.n.desc()).limit(1))


def content(connection: Connection, release_id: str) -> bytes | None:
    """The archive of a release."""
    return connection.execute(sa.select(tables.release.c.content).where(tables.release.c.id == release_id)).scalar()


def activations(connection: Connection) -> Sequence[Activation]:
    """Every activation, newest first."""
    listed, release = tables.active_release, tables.release
    statement = (
        sa.select(listed.c.n, listed.c.release_id, listed.c.activated_at, release.c.versions)
        .join(release, release.c.id == listed.c.release_id)
        .order_by(listed.c.n.desc())
    )
    return [
        Activation(n=row.n, release_id=row.release_id, activated_at=row.activated_at, versions=row.versions)
        for row in connection.execute(statement)
    ]


def stored_attributes(connection: Connection) -> sa.Result[tuple[str, dict[str, object]]]:
    """Customer id and declared attributes of everybody, streamed."""
    customer = tables.customer
    statement = sa.select(customer.c.id, customer.c.attributes).where(customer.c.merged_into.is_(None))
    return connection.execution_options(yield_per=1000).execute(statement)
