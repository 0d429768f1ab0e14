"""A run that was counted against the limits of its rule, and what a person said to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

REJECTED = "rejected"
"""Stands where the exceeded limit stood, once a person turned the run down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A run over all its zones: messages, cost in millionths, and both by channel as (messages, cost)."""

    messages: int = 0
    cost: int = 0
    channels: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """The first limit that a run exceeds (``recipients``, ``cost``, ``growth``), and all of them in words."""

    what: str
    text: str
