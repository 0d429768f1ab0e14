"""Why a rule decided about nobody in a stretch: likely a mistake, or nothing happened that it waits for."""

from collections import Counter
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.rule import (
    ChangedTrigger,
    DateTrigger,
    EntersTrigger,
    EventTrigger,
    Rule,
    ScheduleTrigger,
    ScriptTrigger,
)
from outbound.services.forecast.course import Stretch
from outbound.services.planning.agenda import due_days, due_slots
from outbound.services.planning.buckets import Buckets
from outbound.services.releases import Active
from outbound.storage import runs
from outbound.storage.database import Database
from outbound.storage.tables import event, run

_A_MOMENT = timedelta(microseconds=1)


def silence_of(database: Database, active: Active, name: str, stretch: Stretch) -> str:
    """In a few words; "" where the rule is not in the release."""
    rule = active.ruleset.rules.get(name)
    if rule is None:
        return ""
    if rule.draft:
        return "it is a draft"
    with database.read() as connection:
        missed = _missed(connection, rule, stretch)
        if missed:
            return missed
        match rule.trigger:
            case ScriptTrigger():
                return "only `outbound send` starts it"
            case EventTrigger(event=wanted):
                return _of_events(connection, wanted, stretch)
            case ChangedTrigger(attribute=attribute):
                return f"no customer.{attribute} changed"
            case EntersTrigger(segment=segment):
                return f"nobody entered segment {segment}"
            case ScheduleTrigger() | DateTrigger():
                pass
    return _of_calendar(database, active, rule, stretch)


def _missed(connection: Connection, rule: Rule, stretch: Stretch) -> str:
    """Which line of ``who`` kept people out, where somebody was looked at."""
    mine = sa.select(run.c.id).where(run.c.rule == rule.id, run.c.started_at >= stretch.start)
    clauses: Counter[int] = Counter()
    for run_id in connection.execute(mine).scalars().all():
        clauses.update(runs.misses(connection, run_id).values())
    if not clauses:
        return ""
    everybody = clauses.total()
    clause, count = clauses.most_common(1)[0]
    if clause == runs.NOT_COVERED:
        return f"its experiment covers none of {everybody:,}"
    return f"0 of {everybody:,} match: who[{clause}] keeps out {count:,} ({_source(rule, clause)})"


def _source(rule: Rule, clause: int) -> str:
    return rule.who[clause].text if 0 <= clause < len(rule.who) else "who"


def _of_events(connection: Connection, name: str, stretch: Stretch) -> str:
    happened = connection.execute(
        sa.select(sa.func.count())
        .select_from(event)
        .where(event.c.name == name, event.c.at >= stretch.start, event.c.at <= stretch.until)
    ).scalar_one()
    if happened:
        return f"`if` was true of none of {happened:,} events {name}"
    return f"no event {name} happened"


def _of_calendar(database: Database, active: Active, rule: Rule, stretch: Stretch) -> str:
    buckets = Buckets(database, active.ruleset.policy)
    after = stretch.start - _A_MOMENT
    slots = due_slots(active, buckets, after=after, until=stretch.until)
    days = due_days(active, buckets, after=after, until=stretch.until)
    if rule.id in {due.rule.id for due in slots} | {due.rule.id for due in days}:
        return "nobody has the date" if isinstance(rule.trigger, DateTrigger) else "there is nobody to look at"
    return "no slot falls into these days"
