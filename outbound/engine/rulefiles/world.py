"""What a rule may refer to: all that was read before the rules."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from outbound.domain.condition import Clause
from outbound.domain.policy import Policy
from outbound.domain.rule import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Schema, policy and segments, and the template files by name.

    ``schema`` and ``policy`` are None when their file is missing or unreadable: what depends on them is then
    not checked, for the one report about the file says enough. ``mentioned`` collects the segments in use.
    """

    schema: Schema | None
    policy: Policy | None
    segments: Mapping[str, tuple[Clause, ...]]
    templates: Mapping[str, AbstractSet[str]]
    mentioned: set[str] = field(default_factory=set)
