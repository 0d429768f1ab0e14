"""The groups an experiment would make of its people today: hashed and judged as planning does, nothing written."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outbound.domain.decision import Skip
from outbound.domain.reasons import ReasonCode
from outbound.domain.rule import Rule
from outbound.services.planning.alike import Memory
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.judge import judge
from outbound.services.planning.occurrence import Occurrence, Prospect, template_of
from outbound.services.plans.reach import audience_of, buckets_of, condition
from outbound.services.releases import Active
from outbound.storage import reach as store
from outbound.storage.database import Database

_PAGE = 10_000
_FOR_ALL = timedelta(days=3)
"""How long the imagined message is good for: longer than any quiet hours, so that nobody is left out for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Who would be exposed now. ``outside`` are not covered, ``silent`` stopped before the experiment (consent ...).

    ``held_out`` are the experiment's own and those of the global holdout.
    """

    experiment: str
    exposed: int = 0
    variants: Mapping[str, int] = field(default_factory=dict)
    held_out: int = 0
    outside: int = 0
    silent: int = 0
    already: int = 0


def groups_of(database: Database, active: Active, buckets: Buckets, rule: Rule, *, now: datetime) -> Groups | None:
    """The groups of everybody who matches ``rule`` at ``now``; None where it has no experiment."""
    audience = audience_of(active.ruleset, rule.id)
    if rule.experiment is None or audience is None:
        return None
    variants = Counter(dict.fromkeys(rule.experiment.variants, 0))
    counted: Counter[str] = Counter()
    for bucket in buckets_of(buckets, rule):
        occurrence = Occurrence(
            placeholders={}, values={}, template=template_of(rule), due=now, expires=now + _FOR_ALL, zone=bucket.zone
        )
        memory, after, more = Memory(), "", True
        while more:
            with database.read() as connection:
                asked = condition(audience, bucket, now, connection.dialect.name)
                ids = store.first_ids(connection, members=bucket.members, condition=asked, size=_PAGE, after=after)
                prospects = [Prospect(customer_id=one, occurrence=occurrence) for one in ids]
                found = judge(connection, active, rule, prospects, now=now, memory=memory)
            counted["outside"] += len(found.outside)
            counted["already"] += len(found.already)
            for one in found.candidates:
                held = isinstance(one.decision, Skip) and one.decision.reason.code is ReasonCode.HELD_OUT
                if held:
                    counted["held_out"] += 1
                elif one.answer.variant:
                    variants[one.answer.variant] += 1
                else:
                    counted["silent"] += 1
            more = len(ids) == _PAGE
            after = ids[-1] if ids else after
    return Groups(
        experiment=rule.experiment.id,
        exposed=variants.total() + counted["held_out"],
        variants=dict(variants),
        held_out=counted["held_out"],
        outside=counted["outside"],
        silent=counted["silent"],
        already=counted["already"],
    )
