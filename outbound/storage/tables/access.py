"""Keys of the API, and the answers that a repeated request gets again."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from outbound.storage.tables.base import table


class ApiKeyRow(SQLModel, table=True):
    """``digest`` is the SHA-256 of the whole key, which is long and random; ``scopes`` are comma-separated words."""

    __tablename__ = "api_key"

    prefix: str = Field(primary_key=True)
    name: str
    digest: str
    scopes: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""
    last_used: date | None = None


class ApiRequestRow(SQLModel, table=True):
    """A request with an ``Idempotency-Key``. ``status`` and ``answer`` are null while it runs."""

    __tablename__ = "api_request"
    __table_args__ = (sa.Index("ix_api_request_started", "started_at"),)

    api_key: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    idempotency_key: str = Field(primary_key=True)
    body_hash: str
    started_at: datetime
    status: int | None = None
    answer: str | None = None


api_key = table(ApiKeyRow)
api_request = table(ApiRequestRow)
