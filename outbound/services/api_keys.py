"""Keys of the API: made, listed, revoked, and recognised when somebody calls."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from outbound.domain.access import ApiKey, Scope
from outbound.domain.errors import OutboundError
from outbound.storage import api_keys, operations
from outbound.storage.api_keys import StoredKey
from outbound.storage.database import Database

_MARK: Final = "obk"
_PREFIX_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_NOBODY: Final = "0" * 64
_LONGEST_NAME: Final = 100


def create(
    database: Database, *, name: str, scopes: Collection[str], expires_at: datetime | None, by: str, now: datetime
) -> tuple[ApiKey, str]:
    """A new key and its secret, which nobody can read again: only its SHA-256 is kept.

    The secret has 256 random bits, so that no slow hash is needed to protect it. Raises OutboundError
    ``apikey.scope``, ``apikey.name`` or ``apikey.expires``.
    """
    known = {scope.value for scope in Scope}
    wrong = sorted(set(scopes) - known)
    if wrong or not scopes:
        message = f"there is no scope {wrong[0]!r}" if wrong else "a key needs at least one scope"
        raise OutboundError("apikey.scope", message, f"scopes: {', '.join(sorted(known))}")
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise OutboundError("apikey.name", "a key needs a name of one line", "name the program that will use it")
    if expires_at is not None and expires_at <= now:
        raise OutboundError("apikey.expires", "the key would have expired already", "give a later --expires")
    prefix = secrets.token_hex(_PREFIX_BYTES)
    secret = f"{_MARK}_{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(
        prefix=prefix,
        name=name.strip(),
        scopes=frozenset(map(Scope, scopes)),
        created_at=now,
        created_by=by,
        expires_at=expires_at,
    )
    with database.write() as connection:
        api_keys.insert(connection, StoredKey(key=key, digest=_digest(secret)))
        note = ", ".join(sorted(key.scopes))
        operations.record(connection, kind="apikey.create", subject=f"{prefix} {key.name}", by=by, note=note, now=now)
    return key, secret


def listed(database: Database) -> tuple[ApiKey, ...]:
    """Every key there ever was, the newest first."""
    with database.read() as connection:
        return tuple(stored.key for stored in api_keys.everything(connection))


def revoke(database: Database, prefix: str, *, by: str, note: str, now: datetime) -> bool:
    """End a key: within a second every process refuses it. False where it had ended before.

    Raises OutboundError ``apikey.unknown``.
    """
    with database.write() as connection:
        found = next((s.key for s in api_keys.everything(connection) if s.key.prefix == prefix), None)
        if found is None:
            raise OutboundError("apikey.unknown", f"there is no key {prefix!r}", "`outbound apikey list` has them")
        if not api_keys.revoke(connection, prefix, by=by, now=now):
            return False
        subject = f"{prefix} {found.name}"
        operations.record(connection, kind="apikey.revoke", subject=subject, by=by, note=note, now=now)
    return True


def by_prefix(database: Database) -> Mapping[str, StoredKey]:
    """Every key, to recognise callers with."""
    with database.read() as connection:
        return {stored.key.prefix: stored for stored in api_keys.everything(connection)}


def recognise(keys: Mapping[str, StoredKey], secret: str, *, now: datetime) -> ApiKey | None:
    """The live key that ``secret`` is; None for any other. The same work whether or not its prefix exists."""
    _, _, rest = secret.partition("_")
    prefix, _, _ = rest.partition("_")
    stored = keys.get(prefix)
    same = hmac.compare_digest(_digest(secret), stored.digest if stored else _NOBODY)
    return stored.key if stored is not None and same and stored.key.live(now) else None


def note_use(database: Database, key: ApiKey, *, now: datetime) -> None:
    """Keep the day on which the key was used."""
    with database.write() as connection:
        api_keys.used(connection, key.prefix, now.date())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
