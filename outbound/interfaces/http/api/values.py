"""What the models of the API are made of: strict, bounded, and without anything a database cannot keep."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

_LARGEST = 2**53
_NO_NUL = r"^[^\x00]*$"


class Strict(BaseModel):
    """What a caller sends: no unknown names, and no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Moment = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant that we tell, with its offset."""


class Told(BaseModel):
    """What a caller gets."""

    model_config = ConfigDict(frozen=True)


Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An id or a name: one line, at most 200 characters."""

Line = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A short text of one line."""

Text = Annotated[str, StringConstraints(max_length=10_000, pattern=_NO_NUL)]
"""A text of several lines."""

Scalar = (
    Annotated[str, StringConstraints(max_length=10_000, pattern=_NO_NUL)]
    | bool
    | Annotated[int, Field(ge=-_LARGEST, le=_LARGEST)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | None
)
"""An attribute or a field of an event."""

Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day: 22:00."""

FieldName = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]
"""A name as rules/schema.yaml has them."""


def _instant(value: Any) -> datetime:
    """An RFC 3339 instant."""
    if not isinstance(value, str):
        raise ValueError("write an instant with its offset: 2026-11-24T08:00:00+01:00")  # noqa: TRY004 - for pydantic
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("write an instant with its offset: 2026-11-24T08:00:00+01:00") from None
    if moment.tzinfo is None or not _EARLIEST <= moment.year <= _LATEST:
        raise ValueError("write an instant with its offset, between the years 1900 and 2200")
    return moment


_EARLIEST, _LATEST = 1900, 2200


def _day(value: Any) -> date:
    try:
        if not isinstance(value, str) or date.fromisoformat(value).isoformat() != value:
            raise ValueError(value)
    except ValueError:
        raise ValueError("write a day as 2026-11-24") from None
    return date.fromisoformat(value)


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    Field(strict=False),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-24T08:00:00+01:00"]}),
]
Day = Annotated[
    date,
    BeforeValidator(_day),
    Field(strict=False),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-11-24"]}),
]
