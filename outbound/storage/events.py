"""What happened to customers: appended once per id, read by the rules and by conditions about the past."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.domain.message_events import PREFIXES
from outbound.storage import hints, hooks
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among, among_bound, bound, chunks
from outbound.storage.tables import event

_BATCH = 1_000
_COLUMNS = ("id", "customer_id", "name", "data", "at", "received_at", "handled_at", "source")
_READ = (event.c.id, event.c.name, event.c.customer_id, event.c.data, event.c.at, event.c.received_at)


def append(
    connection: Connection, events: Iterable[Event], *, now: datetime, fire: bool = True, source: str = ""
) -> int:
    """Record events; one whose id is there already is the same event and changes nothing.

    Without ``fire`` they are history: marked as handled, so that no rule ever sees them, nor another system that is
    told by webhook. Returns how many were new.
    """
    instant = instant_writer(connection)
    handled = None if fire else instant(now)
    fresh = 0
    stream = iter(events)
    while batch := list(islice(stream, _BATCH)):
        rows = [
            (
                e.id,
                e.customer_id,
                e.name,
                json_text(dict(e.data)),
                instant(e.at),
                instant(e.received_at),
                handled,
                source,
            )
            for e in batch
        ]
        fresh += insert_ignore(connection, event, _COLUMNS, rows)
        if fire:
            hooks.tell_events(connection, [e for e in batch if e.name.startswith(PREFIXES)], now=now)
            hints.note(connection, hints.Subject.EVENTS)
    return fresh


def append_each(connection: Connection, events: Sequence[tuple[Event, str]]) -> set[str]:
    """Record events, each with its source, for the rules to see, in one statement; the ids of those that were new.

    Of two with one id only the first is recorded.
    """
    first = {e.id: (e, source) for e, source in reversed(events)}
    instant = instant_writer(connection)
    rows = [
        {
            "id": e.id,
            "customer_id": e.customer_id,
            "name": e.name,
            "data": json_text(dict(e.data)),
            "at": str(instant(e.at)),
            "received_at": str(instant(e.received_at)),
            "source": source,
        }
        for _, (e, source) in sorted(first.items())  # one order, so that no two writers wait in a ring
    ]
    statement = _APPEND_SQLITE if connection.dialect.name == "sqlite" else _APPEND_POSTGRESQL
    hints.note(connection, hints.Subject.EVENTS)
    return set(connection.execute(statement, {"rows": json_text(rows)}).scalars())


_INTO: Final = "INSERT INTO event (id, customer_id, name, data, at, received_at, source)"
_APPEND_SQLITE: Final = sa.text(
    f"""{_INTO} SELECT value ->> 'id', value ->> 'customer_id', value ->> 'name', value ->> 'data', value ->> 'at',
    value ->> 'received_at', value ->> 'source' FROM json_each(:rows) WHERE true ON CONFLICT DO NOTHING RETURNING id"""
)
_APPEND_POSTGRESQL: Final = sa.text(
    f"""{_INTO} SELECT id, customer_id, name, data::jsonb, at, received_at, source FROM json_to_recordset(
    CAST(:rows AS json)) AS r(id text, customer_id text, name text, data text, at timestamptz,
    received_at timestamptz, source text) ON CONFLICT DO NOTHING RETURNING id"""
)


def owners(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Whose events these are, by id; those that nobody recorded are not there."""
    query = sa.select(event.c.id, event.c.customer_id).where(among(connection, event.c.id, ids))
    return {row[0]: row[1] for row in connection.execute(query)}


def pending(connection: Connection, *, limit: int) -> list[Event]:
    """Events no rule has seen yet, in the order they were received."""
    query = sa.select(*_READ).where(event.c.handled_at.is_(None)).order_by(event.c.received_at, event.c.id).limit(limit)
    return [_event(row) for row in connection.execute(query)]


def mark_handled(connection: Connection, ids: Sequence[str], *, now: datetime) -> None:
    """The rules have seen these events."""
    for some in chunks(ids):
        _mark(connection.dialect.name).run(connection, {"ids": bound(connection, some), "now": now})


@cache
def _mark(dialect: str) -> Prepared:
    mine = among_bound(dialect, event.c.id, "ids")
    return Prepared(sa.update(event).where(mine).values(handled_at=sa.bindparam("now", type_=event.c.handled_at.type)))


def history(
    connection: Connection, customer_ids: Sequence[str], names: Iterable[str], *, since: datetime | None = None
) -> dict[str, list[Event]]:
    """The events called ``names`` of each customer, oldest first, from ``since`` on."""
    found: dict[str, list[Event]] = {}
    wanted = sorted(set(names))
    if not wanted:
        return found
    for some in chunks(customer_ids):
        values: dict[str, Any] = {"customers": bound(connection, some), "names": bound(connection, wanted)}
        if since is not None:
            values["since"] = since
        query = _history(connection.dialect.name, begun=since is not None)
        for row in query.rows(connection, values):
            one = _event(row)
            found.setdefault(one.customer_id, []).append(one)
    return found


def any_within(connection: Connection, stretches: Iterable[tuple[str, datetime, datetime]]) -> bool:
    """Whether an event of one of these names happened after the first and up to the second of its times."""
    tests = [sa.and_(event.c.name == name, event.c.at > after, event.c.at <= upto) for name, after, upto in stretches]
    # Asks for no column: an index on the others is scanned in place of the rows.
    query: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(event).where(sa.or_(*tests)).limit(1)
    return bool(tests) and connection.execute(query).first() is not None


@cache
def _history(dialect: str, *, begun: bool) -> Prepared:
    query = sa.select(*_READ).where(
        among_bound(dialect, event.c.customer_id, "customers"), among_bound(dialect, event.c.name, "names")
    )
    if begun:
        query = query.where(event.c.at >= sa.bindparam("since"))
    return Prepared(query.order_by(event.c.customer_id, event.c.at, event.c.id))


def _event(row: Any) -> Event:
    return Event(id=row[0], name=row[1], customer_id=row[2], data=row[3], at=row[4], received_at=row[5])


def customer_of(connection: Connection, event_id: str) -> str | None:
    """Whose event it is; None when there is no such event."""
    found: str | None = connection.execute(sa.select(event.c.customer_id).where(event.c.id == event_id)).scalar()
    return found
