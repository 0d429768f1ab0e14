"""Keys of the API."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.access import ApiKey, Scope
from outbound.storage.tables import api_key


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key with the digest that its secret is compared with."""

    key: ApiKey
    digest: str


def insert(connection: Connection, stored: StoredKey) -> None:
    """Add a key."""
    key = stored.key
    row = {
        "prefix": key.prefix,
        "name": key.name,
        "digest": stored.digest,
        "scopes": ",".join(sorted(key.scopes)),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_by": "",
    }
    connection.execute(api_key.insert(), row)


def everything(connection: Connection) -> list[StoredKey]:
    """All keys, the newest first."""
    rows = connection.execute(sa.select(api_key).order_by(api_key.c.created_at.desc(), api_key.c.prefix))
    return [_stored(row) for row in rows]


def revoke(connection: Connection, prefix: str, *, by: str, now: datetime) -> bool:
    """End a key. False where it had ended before, or never was."""
    change = api_key.update().where(api_key.c.prefix == prefix, api_key.c.revoked_at.is_(None))
    return connection.execute(change.values(revoked_at=now, revoked_by=by)).rowcount > 0


def used(connection: Connection, prefix: str, day: date) -> None:
    """Note the day on which a key was last used."""
    earlier = sa.or_(api_key.c.last_used.is_(None), api_key.c.last_used < day)
    connection.execute(api_key.update().where(api_key.c.prefix == prefix, earlier).values(last_used=day))


def _stored(row: Any) -> StoredKey:
    known = {scope.value for scope in Scope}
    return StoredKey(
        key=ApiKey(
            prefix=row.prefix,
            name=row.name,
            scopes=frozenset(Scope(word) for word in row.scopes.split(",") if word in known),
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            revoked_by=row.revoked_by,
            last_used=row.last_used,
        ),
        digest=row.digest,
    )
