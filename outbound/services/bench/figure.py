"""One figure of ``outbound bench``."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, beside the limit taken in the same run.

    ``ratio`` is value / limit; ``bar`` is the goal in words and ``met`` whether it was reached; ``what``
    says what the limit is.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    bar: str = ""
    met: bool | None = None
    what: str = ""
