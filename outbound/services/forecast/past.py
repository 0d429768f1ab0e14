"""Taking a scratch copy back to an earlier day, and letting what really happened since happen again.

Taken back are our own contacts, what customers did and what they allowed. Attributes and addresses are those of
today, since a copy keeps no older ones: a replay tells what these people would have had.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent, Suppression
from outbound.domain.customer import ChannelName, Event
from outbound.domain.message import MessageState
from outbound.storage import consents, events, runs, suppressions, tables
from outbound.storage.database import Database
from outbound.storage.standing import EVERY_CHANNEL, Word, hear

Happening = Callable[[Connection, datetime], object]

_AFTER = timedelta(microseconds=1)
"""A block follows from an answer: what was planned and gated at that instant did not know of it."""
_FACTS = ("swept", "planned")


@dataclass(frozen=True, slots=True)
class _Item:
    at: datetime
    write: Happening


class Past:
    """A feed of what really happened, in its order."""

    def __init__(self, items: Iterable[_Item]) -> None:
        number = count()
        self._due = [(item.at, next(number), item.write) for item in items]
        heapq.heapify(self._due)

    def next_at(self) -> datetime | None:
        """When the next thing happened (UTC)."""
        return self._due[0][0] if self._due else None

    def bring(self, database: Database, now: datetime) -> None:
        """Write down what has happened by ``now``."""
        if not self._due or self._due[0][0] > now:
            return
        with database.write() as connection:
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2](connection, now)


def rewind(scratch: Database, since: datetime, *, until: datetime) -> Past:
    """Take the copy back to ``since`` (UTC); answers what happened from then on.

    An event is received when it was, where that lies before ``until``; one that was imported later happens at its own
    time.
    """
    with scratch.write() as connection:
        items = [
            *_events(connection, since, until),
            *_consents(connection, since),
            *_suppressions(connection, since),
        ]
        _forget_our_own(connection, since)
    return Past(items)


def _events(connection: Connection, since: datetime, until: datetime) -> list[_Item]:
    event = tables.event
    later = sa.or_(event.c.at >= since, sa.and_(event.c.received_at >= since, event.c.received_at <= until))
    query = sa.select(event).where(later).order_by(event.c.received_at, event.c.id)
    found = []
    for row in connection.execute(query):
        at = row.received_at if row.received_at <= until else row.at
        one = Event(
            id=row.id, name=row.name, customer_id=row.customer_id, data=row.data, at=min(row.at, at), received_at=at
        )
        found.append(_Item(at, _event_again(one, row.source)))
    connection.execute(event.delete().where(later))
    return found


def _event_again(one: Event, source: str) -> Happening:
    return lambda connection, now: events.append(connection, [one], now=now, source=source)


def _consents(connection: Connection, since: datetime) -> list[_Item]:
    """Of whom something was recorded since: what they had said before stands again, the rest is said when it was."""
    ledger, consent = tables.consent_event, tables.consent
    spoke = connection.execute(
        sa.select(ledger.c.customer_id, ledger.c.topic).where(ledger.c.recorded_at >= since).distinct()
    ).all()
    found = []
    for customer_id, topic in spoke:
        said = [one for one in consents.ledger(connection, customer_id) if one.topic == topic]
        mine = sa.and_(consent.c.customer_id == customer_id, consent.c.topic == topic)
        connection.execute(consent.delete().where(mine))
        for one in said:
            if one.recorded_at < since:
                _stand(connection, one)
            else:
                found.append(_Item(one.recorded_at, _said_again(one)))
    return found


def _said_again(one: ConsentEvent) -> Happening:
    return lambda connection, _now: _stand(connection, one)


def _stand(connection: Connection, one: ConsentEvent) -> None:
    """Let what was said stand again; the ledger itself stays as it is, a chain that nobody cuts."""
    word = Word(state=one.state, address=one.address, at=one.at, event_id=one.id)
    channel = one.channel.value if one.channel else EVERY_CHANNEL
    heard = hear(consents.of_topic(connection, one.customer_id, one.topic), channel, word)
    consents.write(connection, one.customer_id, one.topic, {**heard.renewed, **heard.changes})


def _suppressions(connection: Connection, since: datetime) -> list[_Item]:
    table = tables.suppression
    found = []
    for row in connection.execute(sa.select(table).where(table.c.at >= since)):
        block = Suppression(
            channel=ChannelName(row.channel), address_hash=row.hash, scope=row.scope, reason=row.reason, at=row.at
        )
        found.append(_Item(row.at + _AFTER, _blocked_again(block)))
    connection.execute(table.delete().where(table.c.at >= since))
    return found


def _blocked_again(block: Suppression) -> Happening:
    return lambda connection, _now: suppressions.add(connection, [block])


def _forget_our_own(connection: Connection, since: datetime) -> None:
    """Runs, decisions and messages since then never were; what waited at that time waits again."""
    message, leg, attempt = tables.message, tables.leg, tables.attempt
    connection.execute(attempt.delete().where(attempt.c.started_at >= since))
    connection.execute(leg.delete().where(leg.c.at >= since))
    connection.execute(message.delete().where(message.c.created_at >= since))
    waited = message.update().where(message.c.updated_at >= since)
    again = {"state": MessageState.SCHEDULED.value, "not_before": since, "leg": 1, "attempts": 0, "sent_at": None}
    blank = {"reason": "", "detail": "", "held_by": "", "lease_until": None, "message_id": "", "date": None}
    connection.execute(waited.values(**again, **blank, body_hash="", updated_at=message.c.created_at))
    for table, at in (
        (tables.decision, tables.decision.c.at),
        (tables.firing, tables.firing.c.planned_at),
        (tables.run, tables.run.c.started_at),
        (tables.manifest, tables.manifest.c.at),
        (tables.active_release, tables.active_release.c.activated_at),
    ):
        connection.execute(table.delete().where(at >= since))
    runs.drop_facts(connection, _FACTS)
    runs.write_fact(connection, "planned", f"{since.isoformat()} ")
