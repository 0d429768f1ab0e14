"""What every section of outbound.toml is."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Read once and never changed; an unknown key and a value of another type are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
