"""Whom a rule speaks to before and after a change, by the same conditions in SQL that planning uses."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause, Has, Path, Root, ValueType
from outbound.domain.release import Ruleset
from outbound.domain.rule import DateTrigger, EntersTrigger, Rule, ScheduleTrigger
from outbound.engine.conditions.parts import fingerprint
from outbound.engine.timing.walls import local_day
from outbound.services.planning.buckets import Bucket, Buckets
from outbound.storage import reach as store
from outbound.storage.conditions import clause_sql
from outbound.storage.database import Database

_EXAMPLES = 5
_GAINED, _LOST = (False, True), (True, False)

Audience = tuple[Clause, ...] | None
"""What must be true of a customer. None: nobody, since there is no such rule, or it is a draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """People who match before and after; ``gained`` and ``lost`` are among them. A few ids of each as examples."""

    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    gained_ids: tuple[str, ...] = ()
    lost_ids: tuple[str, ...] = ()


def audience_of(ruleset: Ruleset | None, name: str) -> Audience:
    """The lines of ``who``, and what the trigger asks of everybody: a date, or to be in a segment.

    What happens to one person alone (an event, a change) is not asked: it may happen to everybody.
    """
    rule = ruleset.rules.get(name) if ruleset else None
    if ruleset is None or rule is None or rule.draft:
        return None
    match rule.trigger:
        case DateTrigger(attribute=attribute):
            path = Path(Root.CUSTOMER, attribute.removeprefix("customer."), rule.span, ValueType.DATE)
            return (Clause(Has(path, rule.span), f"has({attribute})", rule.span), *rule.who)
        case EntersTrigger(segment=segment):
            return (*ruleset.segments[segment], *rule.who)
        case _:
            return rule.who


def differ(before: Audience, after: Audience) -> bool:
    """Whether two audiences are asked for in other words. Segments count by what they say."""
    return _fingerprint(before) != _fingerprint(after)


def reach_of(
    database: Database, buckets: Buckets, rule: Rule, before: Audience, after: Audience, *, now: datetime
) -> Reach:
    """Count both at ``now``, in each zone with its own today."""
    counted: dict[tuple[bool, bool], int] = {}
    gained: list[str] = []
    lost: list[str] = []
    for bucket in buckets_of(buckets, rule):
        with database.read() as connection:
            dialect = connection.dialect.name
            old, new = (condition(audience, bucket, now, dialect) for audience in (before, after))
            found = store.pairs(connection, members=bucket.members, before=old, after=new)
            for pair, number in found.items():
                counted[pair] = counted.get(pair, 0) + number
            if found.get(_GAINED) and len(gained) < _EXAMPLES:
                gained += _examples(connection, bucket, sa.and_(sa.not_(old), new))
            if found.get(_LOST) and len(lost) < _EXAMPLES:
                lost += _examples(connection, bucket, sa.and_(old, sa.not_(new)))
    both = counted.get((True, True), 0)
    return Reach(
        before=both + counted.get(_LOST, 0),
        after=both + counted.get(_GAINED, 0),
        gained=counted.get(_GAINED, 0),
        lost=counted.get(_LOST, 0),
        gained_ids=tuple(gained[:_EXAMPLES]),
        lost_ids=tuple(lost[:_EXAMPLES]),
    )


def buckets_of(buckets: Buckets, rule: Rule) -> Iterable[Bucket]:
    """The zones in which the rule asks for its people."""
    trigger = rule.trigger
    zone = trigger.zone if isinstance(trigger, ScheduleTrigger | DateTrigger) else None
    return buckets.of(zone, None)


def condition(audience: Audience, bucket: Bucket, now: datetime, dialect: str) -> sa.ColumnElement[bool]:
    """The audience as one condition over the customers of a bucket, never NULL."""
    if audience is None:
        return sa.false()
    today = local_day(now, bucket.zone)
    clauses = [clause_sql(one, now=now, today=today, zone=bucket.zone, dialect=dialect) for one in audience]
    return sa.and_(sa.true(), *clauses)


def _examples(connection: Connection, bucket: Bucket, asked: sa.ColumnElement[bool]) -> list[str]:
    return store.first_ids(connection, members=bucket.members, condition=asked, size=_EXAMPLES)


def _fingerprint(audience: Audience) -> str | None:
    return None if audience is None else fingerprint(audience)
