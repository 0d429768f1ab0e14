"""Experiments: who is covered, who is held out, and which variant the others get (rules.md 1.8 and 1.9)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from outbound.domain.condition import Clause

BUCKETS = 10_000
"""Shares are whole numbers of these: 20 % is 2,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One arm. ``weight`` is relative to the sum of all weights; ``template`` "" means the rule's own."""

    name: str
    weight: int
    template: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A rule's experiment. ``id`` is the salt of its hashes; ``coverage`` and ``holdout`` are shares of BUCKETS.

    ``unit`` is the required customer attribute that is hashed (``id``). ``holdout`` is a share of those covered.
    ``goal`` is what counts as conversion after the exposure. ``stop``: no new exposures after that day. The order of
    ``variants`` is theirs on the scale of the buckets.
    """

    id: str
    unit: str
    coverage: int
    holdout: int
    variants: Mapping[str, Variant]
    goal: tuple[Clause, ...] = ()
    stop: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalHoldout:
    """The control group of all marketing: ``share`` of BUCKETS, hashed with ``id``; never shrinks within its id."""

    id: str
    share: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What hashing says about one person, whoever asks and however often.

    ``covered`` False: outside the experiment's coverage, no candidate at all. ``held_out_by`` is the id of the
    experiment or of the global holdout that keeps the person silent, "" for none. ``experiment`` and ``variant``
    name the exposure, "" where the rule has no experiment, and for those whom the global holdout keeps out of it.
    ``why`` has the numbers in words, where somebody asked for an explanation.
    """

    covered: bool = True
    held_out_by: str = ""
    experiment: str = ""
    variant: str = ""
    why: str = ""
