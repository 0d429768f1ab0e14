"""Who takes part in an experiment and in which group: pure hashing, the same for whoever asks (rules.md 1.9).

A bucket is the first 8 bytes (big-endian) of SHA-256(``salt:purpose:unit``) mod 10,000. Coverage, holdout and variant
are separate purposes: with one shared hash, everybody inside a coverage of 20 % would land in the first variant.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from outbound.domain.experiment import BUCKETS, Assignment, Experiment, GlobalHoldout, Variant

_ID = "id"


class Purpose(StrEnum):
    """What a bucket decides."""

    COVERAGE = "coverage"
    HOLDOUT = "holdout"
    VARIANT = "variant"


def bucket(salt: str, purpose: Purpose, unit: str) -> int:
    """The place of ``unit`` among BUCKETS: 0 to 9,999."""
    return _place(_prefix(salt, purpose), unit)


def assign(
    experiment: Experiment | None, holdout: GlobalHoldout | None, *, unit: str, customer_id: str, day: date
) -> Assignment | None:
    """The person's part in ``experiment`` and the global ``holdout``; None when neither applies.

    ``unit`` is the person's value of the experiment's unit (`unit_of`); one without a value cannot be assigned and is
    not covered. ``holdout`` is passed for marketing alone. ``day`` is the customer's own: after the experiment's
    ``stop`` nobody is covered any more.
    """
    if experiment is None:
        if holdout is None:
            return None
        return Assignment(held_out_by=holdout.id) if _held_globally(holdout, customer_id) else _FREE
    if not unit or (experiment.stop is not None and day > experiment.stop):
        return _OUTSIDE
    salt = experiment.id
    if not _within(experiment.coverage, salt, Purpose.COVERAGE, unit):
        return _OUTSIDE
    if holdout is not None and _held_globally(holdout, customer_id):
        return Assignment(held_out_by=holdout.id)
    if _within(experiment.holdout, salt, Purpose.HOLDOUT, unit):
        return Assignment(held_out_by=salt, experiment=salt)
    return Assignment(experiment=salt, variant=variant_at(experiment.variants, bucket(salt, Purpose.VARIANT, unit)))


def held_globally(holdout: GlobalHoldout, customers: Iterable[str]) -> AbstractSet[str]:
    """Whom of many customers the global holdout keeps silent, as `assign` says of each."""
    if holdout.share <= 0:
        return frozenset()
    prefix = _prefix(holdout.id, Purpose.HOLDOUT)
    return {identity for identity in customers if _place(prefix, identity) < holdout.share}


def variant_at(variants: Mapping[str, Variant], place: int) -> str:
    """The variant whose stretch of the buckets holds ``place``: in the order written, each as long as its weight."""
    total = sum(variant.weight for variant in variants.values())
    reached = 0
    for name, variant in variants.items():
        reached += variant.weight
        if place * total < reached * BUCKETS:
            return name
    raise ValueError("an experiment needs a variant with a weight")


def unit_of(experiment: Experiment, values: Mapping[str, object], customer_id: str) -> str:
    """The text that is hashed: the customer's id, or the attribute that ``experiment.unit`` names, "" without one."""
    if experiment.unit == _ID:
        return customer_id
    value = values.get(experiment.unit)
    return "" if value is None else str(value)


def template_of(experiment: Experiment, variant: str) -> str:
    """The template of the variant, "" where the rule's own is meant."""
    found = experiment.variants.get(variant)
    return found.template if found is not None else ""


def explained(
    experiment: Experiment | None, holdout: GlobalHoldout | None, *, unit: str, customer_id: str, day: date
) -> Assignment | None:
    """`assign` with the numbers behind it in ``why``: ``coverage 155 < 2000, holdout 9564 >= 1000, variant ...``."""
    found = assign(experiment, holdout, unit=unit, customer_id=customer_id, day=day)
    if found is None:
        return None
    said: list[str] = []
    if experiment is not None:
        said.append(_coverage(experiment, unit, day))
    if holdout is not None and found.covered:
        place = bucket(holdout.id, Purpose.HOLDOUT, customer_id)
        said.append(f"{holdout.id} {place} {_sign(place, holdout.share)} {holdout.share}")
    if experiment is not None and found.experiment:
        place = bucket(experiment.id, Purpose.HOLDOUT, unit)
        said.append(f"holdout {place} {_sign(place, experiment.holdout)} {experiment.holdout}")
    if experiment is not None and found.variant:
        said.append(f"variant {bucket(experiment.id, Purpose.VARIANT, unit)} -> {found.variant}")
    return replace(found, why=", ".join(said))


def _coverage(experiment: Experiment, unit: str, day: date) -> str:
    if not unit:
        return f"no {experiment.unit} to assign by"
    if experiment.stop is not None and day > experiment.stop:
        return f"no new exposures after {experiment.stop}"
    place = bucket(experiment.id, Purpose.COVERAGE, unit)
    return f"coverage {place} {_sign(place, experiment.coverage)} {experiment.coverage}"


def _sign(place: int, share: int) -> str:
    return "<" if place < share else ">="


_FREE = Assignment()
_OUTSIDE = Assignment(covered=False)


def _held_globally(holdout: GlobalHoldout, customer_id: str) -> bool:
    return _within(holdout.share, holdout.id, Purpose.HOLDOUT, customer_id)


def _within(share: int, salt: str, purpose: Purpose, unit: str) -> bool:
    """Whether the unit's bucket lies in the share; nothing and everything need no hash."""
    if share <= 0:
        return False
    return share >= BUCKETS or _place(_prefix(salt, purpose), unit) < share


@lru_cache(maxsize=1024)
def _prefix(salt: str, purpose: Purpose) -> bytes:
    return f"{salt}:{purpose}:".encode()


def _place(prefix: bytes, unit: str) -> int:
    return int.from_bytes(sha256(prefix + unit.encode()).digest()[:8], "big") % BUCKETS
