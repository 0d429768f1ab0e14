"""What the tables share. Instants are plain ``datetime``: SQLModel stores them as UTC and refuses naive ones."""

from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

metadata = SQLModel.metadata

Json: Any = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def table(model: type[SQLModel]) -> sa.Table:
    """The SQLAlchemy table behind a model: repositories read and write columns, never objects."""
    return cast("sa.Table", model.__table__)  # type: ignore[attr-defined]
