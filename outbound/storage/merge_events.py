"""Staged events into the record: each once, under the id its customer lives on under."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.storage import events

_CHUNK: Final = 5_000
_STREAM: Final = {"yield_per": 1_000}


def drop_duplicates(connection: Connection) -> Iterator[tuple[int, str]]:
    """Keep the last row of each event id; yields line and id of the others."""
    place = "temp.stage_event_by" if connection.dialect.name == "sqlite" else "stage_event_by"
    connection.exec_driver_sql(f"CREATE INDEX {place} ON stage_event (id, line)")
    earlier = (
        "EXISTS (SELECT 1 FROM stage_event later WHERE later.id = stage_event.id AND later.line > stage_event.line)"
    )
    query = sa.text(f"SELECT line, id FROM stage_event WHERE {earlier} ORDER BY line")
    for row in connection.execute(query, execution_options=_STREAM):
        yield row[0], row[1]
    connection.exec_driver_sql(f"DELETE FROM stage_event WHERE {earlier}")


def unknown_customers(connection: Connection) -> Iterator[tuple[int, str]]:
    """Follow merged customers to their survivors; yields line and customer of events nobody is known for."""
    survivor = "SELECT merged_into FROM customer WHERE customer.id = stage_event.customer_id"
    gone = "SELECT id FROM customer WHERE merged_into IS NOT NULL"
    connection.exec_driver_sql(f"UPDATE stage_event SET customer_id = ({survivor}) WHERE customer_id IN ({gone})")
    unknown = "NOT EXISTS (SELECT 1 FROM customer c WHERE c.id = stage_event.customer_id)"
    query = sa.text(f"SELECT line, customer_id FROM stage_event WHERE {unknown} ORDER BY line")
    for row in connection.execute(query, execution_options=_STREAM):
        yield row[0], row[1]


def merge(
    connection: Connection, *, name: str, shift: timedelta, now: datetime, fire: bool, source: str
) -> tuple[int, int]:
    """Append the staged events, their times moved by ``shift``; returns how many were new and how many known."""
    new = total = 0
    query = sa.text("SELECT id, customer_id, at, data FROM stage_event WHERE id > :after ORDER BY id LIMIT :chunk")
    after = ""
    while rows := connection.execute(query, {"after": after, "chunk": _CHUNK}).all():
        happened = (_event(row, name, shift, now) for row in rows)
        new += events.append(connection, happened, now=now, fire=fire, source=source)
        total += len(rows)
        after = rows[-1][0]
    return new, total - new


def _event(row: Any, name: str, shift: timedelta, now: datetime) -> Event:
    identity, customer_id, at, data = row
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC) if isinstance(at, str) else at
    return Event(
        id=identity,
        name=name,
        customer_id=customer_id,
        data=json.loads(data) if isinstance(data, str) else data,
        at=moment + shift,
        received_at=now,
    )
