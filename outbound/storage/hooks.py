"""Who is told by webhook, and putting news into their queues: in the transaction of what happened.

A transaction that is rolled back tells nobody, one that commits is told for sure. Where no hook is subscribed this is
one small query.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.domain.hook import MESSAGE_FAILED, TOLD_FIELDS, Hook, PostState
from outbound.domain.ids import new_id
from outbound.domain.message_events import BUILT_IN
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among
from outbound.storage.tables import hook, hook_post, leg, message

SENT = "message.sent"

_COLUMNS = ("id", "hook", "event", "key", "customer_id", "data", "at", "state", "tries", "due_at", "answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Something that happened to a customer. ``key`` is what makes it the same news when it is told again."""

    event: str
    key: str
    customer_id: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


def tell(connection: Connection, news: Iterable[Told], *, now: datetime) -> int:
    """Queue news for every hook that is subscribed to it; what a hook has under the same key stays one. How many."""
    listed = list(news)
    subscribed = _subscribed(connection) if listed else {}
    instant = instant_writer(connection)
    due = instant(now)
    rows = [
        (
            new_id(now),
            name,
            one.event,
            one.key,
            one.customer_id,
            json_text({key: value for key, value in one.data.items() if key in TOLD_FIELDS}),
            instant(one.at),
            PostState.WAITING.value,
            0,
            due,
            "",
        )
        for name, events in subscribed.items()
        for one in listed
        if f",{one.event}," in events
    ]
    rows.sort(key=lambda row: (row[1], row[3]))  # several writers, one order of keys
    return insert_ignore(connection, hook_post, _COLUMNS, rows)


def tell_events(connection: Connection, events: Iterable[Event], *, now: datetime) -> int:
    """Queue those of these events that are the product's own. The shop's own events it knows already."""
    ours = (e for e in events if e.name in BUILT_IN)
    return tell(
        connection,
        (Told(event=e.name, key=e.id, customer_id=e.customer_id, at=e.at, data=e.data) for e in ours),
        now=now,
    )


def tell_sent(connection: Connection, message_ids: Sequence[str], *, now: datetime) -> int:
    """Queue that these messages were accepted, once for each leg."""
    return tell(connection, sent(connection, message_ids, now=now), now=now) if _wanted(connection, SENT) else 0


def tell_failed(connection: Connection, message_ids: Sequence[str], *, now: datetime) -> int:
    """Queue that these messages ended without being taken, with why."""
    if not message_ids or not _wanted(connection, MESSAGE_FAILED):
        return 0
    return tell(connection, _of_messages(connection, MESSAGE_FAILED, message_ids, now=now), now=now)


def sent(connection: Connection, message_ids: Sequence[str], *, now: datetime) -> list[Told]:
    """The news that these messages were accepted."""
    return _of_messages(connection, SENT, message_ids, now=now)


def _wanted(connection: Connection, event: str) -> bool:
    return any(f",{event}," in events for events in _subscribed(connection).values())


def _of_messages(connection: Connection, event: str, message_ids: Sequence[str], *, now: datetime) -> list[Told]:
    columns = (message.c.id, message.c.customer_id, message.c.rule, message.c.topic, message.c.step)
    query = (
        sa.select(*columns, leg.c.n, leg.c.channel, message.c.sent_at, message.c.reason)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg))
        .where(among(connection, message.c.id, message_ids))
    )
    return [
        Told(
            event=event,
            key=f"{event}/{row.id}.{row.n}",
            customer_id=row.customer_id,
            at=row.sent_at or now,
            data={"message": row.id, "rule": row.rule, "topic": row.topic, "channel": row.channel}
            | ({"step": row.step} if row.step else {})
            | ({"reason": row.reason} if event == MESSAGE_FAILED else {}),
        )
        for row in connection.execute(query)
    ]


def everything(connection: Connection) -> list[Hook]:
    """Every hook on the record, by name."""
    return [
        Hook(
            name=row.name,
            events=frozenset(filter(None, row.events.split(","))),
            failing_since=row.failing_since,
            off=row.off,
        )
        for row in connection.execute(sa.select(hook).order_by(hook.c.name))
    ]


def declare(connection: Connection, name: str, events: Iterable[str]) -> None:
    """From now on the hook is told of these events; whether it is off or failing stays as it was."""
    text = f",{','.join(sorted(events))},"
    if not connection.execute(sa.update(hook).where(hook.c.name == name).values(events=text)).rowcount:
        insert_ignore(connection, hook, ("name", "events", "off"), [(name, text, "")])


def forget(connection: Connection, names: Sequence[str]) -> None:
    """These are told no more, and what waits for them goes."""
    connection.execute(sa.delete(hook).where(among(connection, hook.c.name, names)))
    waiting = hook_post.c.state == PostState.WAITING.value
    connection.execute(sa.delete(hook_post).where(among(connection, hook_post.c.hook, names), waiting))


def works(connection: Connection, names: Sequence[str]) -> None:
    """They answered: no failure stands against them any more."""
    connection.execute(sa.update(hook).where(among(connection, hook.c.name, names)).values(failing_since=None))


def fails(connection: Connection, names: Sequence[str], *, now: datetime) -> None:
    """They did not take something; the first failure is remembered."""
    change = sa.update(hook).where(among(connection, hook.c.name, names), hook.c.failing_since.is_(None))
    connection.execute(change.values(failing_since=now))


def switch_off(connection: Connection, name: str, why: str) -> bool:
    """Post nothing to it any more; what happens waits. False where it was off already."""
    change = sa.update(hook).where(hook.c.name == name, hook.c.off == "").values(off=why)
    return connection.execute(change).rowcount == 1


def switch_on(connection: Connection, name: str) -> None:
    """Post to it again."""
    connection.execute(sa.update(hook).where(hook.c.name == name).values(off="", failing_since=None))


def _subscribed(connection: Connection) -> dict[str, str]:
    return {row[0]: row[1] for row in _hooks(connection.dialect.name).rows(connection)}


@cache
def _hooks(_dialect: str) -> Prepared:
    return Prepared(sa.select(hook.c.name, hook.c.events))
