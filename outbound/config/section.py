"""What every section of outbound.toml is."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Read once and never changed; an unknown key and a value of another type are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _known_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        ipaddress.ip_network(one)
    return value


Networks = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_known_networks)]
"""Addresses and networks (``10.0.0.0/8``)."""
