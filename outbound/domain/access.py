"""Who may call the API, and what they may do."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Scope(StrEnum):
    """One thing that a key may do. A key has the scopes it was given and no others; none contains another."""

    EVENTS_WRITE = "events:write"
    TRIGGERS_WRITE = "triggers:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    CONSENTS_WRITE = "consents:write"
    SUPPRESSIONS_READ = "suppressions:read"
    SUPPRESSIONS_WRITE = "suppressions:write"
    TIMELINE_READ = "timeline:read"
    INTERACTIONS_WRITE = "interactions:write"
    MESSAGES_READ = "messages:read"
    RUNS_READ = "runs:read"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as the record knows it: by its prefix, never by its secret. ``last_used`` is a day in UTC."""

    prefix: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    last_used: date | None = None

    def live(self, now: datetime) -> bool:
        """Whether it opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
