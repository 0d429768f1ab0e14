"""What a release waits for, written when it is published: watched attributes, and who is in a segment already.

Rules ``changed`` and ``enters`` take today's values as they are, silently (rules.md 1.9, Activation), unless the
publisher wants those included: then ``services.planning.current`` shows each new rule everybody once.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.release import Ruleset
from outbound.domain.rule import ChangedTrigger, EntersTrigger, Rule, Schema
from outbound.engine.conditions.parts import fingerprint, needs_attributes
from outbound.engine.conditions.scope import RESERVED
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import resolve_zones
from outbound.storage import attribute_indexes, audience, changes, memberships, runs
from outbound.storage.audience import Members
from outbound.storage.changes import Watched
from outbound.storage.conditions import clause_sql

CURRENT: Final = "include_current"
"""The fact that names the rules which shall see today's values: rule id to the instant of publication."""

_SEGMENT: Final = "segment:"


def take_baselines(
    connection: Connection, ruleset: Ruleset, *, before: Mapping[str, str], include_current: bool, now: datetime
) -> None:
    """Say what is watched, and note who is in each watched segment that is new or says something else than before.

    Call it in the transaction that activates the release. ``before`` are the rules (id to version) of the release
    that ran until now. A segment that no rule watches any more is forgotten, its count of entries is not.
    """
    runs.lock(connection, memberships.LOCK)
    live = [rule for rule in ruleset.rules.values() if not rule.draft]
    entering = [(rule, rule.trigger.segment) for rule in live if isinstance(rule.trigger, EntersTrigger)]
    names = sorted({segment for _, segment in entering})
    changes.watch(
        connection,
        Watched(
            changed=frozenset(rule.trigger.attribute for rule in live if isinstance(rule.trigger, ChangedTrigger)),
            segments=frozenset(a for name in names for a in needs_attributes(ruleset.segments[name])),
            entered=bool(names),
        ),
    )
    known = runs.facts(connection, _SEGMENT)
    fresh = set()
    for name in names:
        says = fingerprint(ruleset.segments[name])
        if known.pop(_SEGMENT + name, None) != says:
            _note_members(connection, ruleset, name, now)
            runs.write_fact(connection, _SEGMENT + name, says)
            fresh.add(name)
    runs.drop_facts(connection, known)
    new = [rule for rule in live if _starts(rule, before, fresh)] if include_current else []
    waiting = json.loads(runs.read_fact(connection, CURRENT) or "{}")
    told = {rule_id: at for rule_id, at in waiting.items() if rule_id in ruleset.rules}
    told |= {rule.id: now.isoformat() for rule in new}
    if told != waiting:
        runs.write_fact(connection, CURRENT, json.dumps(told))


def index_attributes(connection: Connection, schema: Schema) -> None:
    """Index the attributes declared with ``index: true``. The reserved ones have columns, and need none of these."""
    declared = ((name, field.type) for name, field in schema.customer.items() if field.index and name not in RESERVED)
    attribute_indexes.bring(connection, declared)


def _starts(rule: Rule, before: Mapping[str, str], fresh: set[str]) -> bool:
    """Whether the rule may be shown what is there now; one that says ``from`` may not: what was before is not known."""
    match rule.trigger:
        case EntersTrigger():
            return rule.id not in before or rule.trigger.segment in fresh
        case ChangedTrigger(old=None):
            return rule.id not in before
        case _:
            return False


def _note_members(connection: Connection, ruleset: Ruleset, segment: str, now: datetime) -> None:
    """In each zone with that zone's today."""
    grouped: dict[str, list[str]] = {}
    zones = {}
    for source in audience.zone_sources(connection):
        zone = resolve_zones(source, ruleset.policy).at
        zones[zone.key] = zone
        grouped.setdefault(zone.key, []).append(source)
    for key, sources in sorted(grouped.items()):
        zone = zones[key]
        inside = [
            clause_sql(clause, now=now, today=local_day(now, zone), zone=zone, dialect=connection.dialect.name)
            for clause in ruleset.segments[segment]
        ]
        members = Members() if len(grouped) == 1 else Members(sources=tuple(sources))
        memberships.baseline(connection, segment, members, inside, now=now)
