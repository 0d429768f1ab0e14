"""When there will be something to do next: what the virtual clock of ``outbound run --at`` jumps to."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa

from outbound.domain.message import MessageState
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.compiled import compiled, live_at
from outbound.services.planning.dates import days_between
from outbound.services.planning.schedules import slots_of
from outbound.services.planning.unknown import patience
from outbound.services.releases import Active
from outbound.storage import pending, tables
from outbound.storage.database import Database
from outbound.storage.outbox import state_is

_LOOK_AHEAD = tuple(timedelta(days=days) for days in (1, 8, 40, 400))


def next_due(database: Database, active: Active, *, now: datetime) -> datetime | None:
    """The earliest instant from ``now`` on at which a slot, an event or a queued message is due; None if never.

    A slot counts at its own time, although planning takes it up half an hour earlier. Looks 400 days ahead.
    """
    waiting = [*_messages(database), *_events(database, active, now), *_slots(database, active, now)]
    return max(min(waiting), now) if waiting else None


def _messages(database: Database) -> Iterator[datetime]:
    message = tables.message
    queued = state_is(MessageState.SCHEDULED, MessageState.READY)
    with database.read() as connection:
        found = connection.execute(
            sa.select(sa.func.min(message.c.not_before, type_=message.c.not_before.type)).where(queued)
        ).scalar()
    if found is not None:
        yield found


def _events(database: Database, active: Active, now: datetime) -> Iterator[datetime]:
    with database.read() as connection:
        known = pending.earliest(connection)
        unknown = pending.oldest_unknown(connection)
    if known is not None:
        yield known
    zone = active.ruleset.policy.timezone
    for name, received_at in unknown.items():
        for listener in compiled(active).listeners.get(name, ()):
            until = patience(listener.rule, zone, received_at)
            if until >= now:
                yield until


def _slots(database: Database, active: Active, now: datetime) -> Iterator[datetime]:
    rules, buckets = compiled(active), Buckets(database, active.ruleset.policy)
    for horizon in _LOOK_AHEAD:
        until = now + horizon
        found = [
            slot.instant
            for rule, trigger in rules.schedules
            for bucket in buckets.of(trigger.zone, trigger.calendar)
            for slot in slots_of(active, rule, trigger, bucket, after=now, until=until)
            if live_at(active, rule, slot.instant, bucket.zone)
        ]
        found += [
            instant
            for rule, trigger in rules.dates
            for bucket in buckets.of(trigger.zone, trigger.calendar)
            for _, instant in days_between(trigger, bucket.zone, after=now, until=until)
            if live_at(active, rule, instant, bucket.zone)
        ]
        if found:
            yield min(found)
            return
