"""The outbox row: how it is born, how it moves from state to state, how it is read back.

Every change of ``message.state`` in the product goes through ``move``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.message import TRANSITIONS, Lane, Message, MessageState
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.sets import among, chunks
from outbound.storage.tables import message

FIRST_STATES = frozenset({MessageState.SCHEDULED, MessageState.READY})
"""A message is born waiting for its time, or due."""

_DEFAULTS: Mapping[str, Any] = {
    "step": "",
    "variant": "",
    "context": {},
    "local_time": "",
    "zone": "",
    "on_uncertain": "hold",
    "reason": "",
    "detail": "",
    "held_by": "",
    "leg": 1,
    "attempts": 0,
    "lease_token": 0,
    "worker": "",
    "message_id": "",
    "body_hash": "",
    "language": "",
    "depth": 0,
}
_COLUMNS = tuple(column.name for column in message.columns)
_INSTANTS = frozenset(c.name for c in message.columns if isinstance(c.type, type(message.c.not_before.type)))
_FIELDS = tuple(field.name for field in fields(Message))
_LANES = {lane.value: lane for lane in Lane}
_STATES = {state.value: state for state in MessageState}


def check_move(source: MessageState, target: MessageState) -> None:
    """Raise OutboundError ``outbox.move`` unless docs/states.md draws an arrow from ``source`` to ``target``."""
    if target not in TRANSITIONS[source]:
        raise OutboundError("outbox.move", f"a message cannot move from {source} to {target}", "report this as a bug")


def state_is(*states: MessageState) -> sa.ColumnElement[bool]:
    """``state`` is one of ``states``, written as literals: only these let both databases use the partial indexes."""
    return sa.or_(*(message.c.state == sa.literal_column(f"'{state.value}'") for state in states))


def move(target: MessageState, *sources: MessageState) -> sa.Update:
    """The UPDATE that moves messages from one of ``sources`` to ``target``; the caller says which and what else.

    Raises OutboundError ``outbox.move`` for a move that TRANSITIONS does not allow. A message that is in
    none of ``sources`` is left alone and not counted.
    """
    for source in sources:
        check_move(source, target)
    return message.update().where(state_is(*sources)).values(state=target.value)


def insert_messages(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Insert messages (column name to value; columns with a default may be left out). Answers the ids inserted.

    A row whose (rule, once, customer_id, step) exists is left as it is: one occurrence, one message.
    Raises OutboundError ``outbox.state`` for a row that does not begin ``scheduled`` or ``ready``.
    """
    instant = instant_writer(connection)
    prepared = [_prepare(row, instant) for row in rows]
    inserted = insert_ignore(connection, message, _COLUMNS, prepared)
    ids = [row["id"] for row in rows]
    if inserted == len(rows):
        return frozenset(ids)
    found: set[str] = set()
    for some in chunks(ids):
        found.update(connection.execute(sa.select(message.c.id).where(among(connection, message.c.id, some))).scalars())
    return frozenset(found)


def _prepare(row: Mapping[str, Any], instant: Any) -> list[Any]:
    if row["state"] not in FIRST_STATES:
        raise OutboundError("outbox.state", f"a message cannot begin as {row['state']}", "report this as a bug")
    values = []
    for name in _COLUMNS:
        value = row.get(name, _DEFAULTS.get(name))
        if name in _INSTANTS:
            value = instant(value or row["created_at"]) if value or name == "updated_at" else None
        elif name == "context":
            value = json_text(value)
        elif name == "channels" and not isinstance(value, str):
            value = ",".join(value or ())
        else:
            value = str(value) if isinstance(value, str) else value
        values.append(value)
    return values


def promote_due(connection: Connection, lane: Lane, *, now: datetime, limit: int = 5000) -> int:
    """Make up to ``limit`` scheduled messages of ``lane`` whose time has come ready. Answers how many.

    ``held_by`` stays: the gate asks ``who`` again of a message that was held.
    """
    due = (
        sa.select(message.c.id)
        .where(state_is(MessageState.SCHEDULED), message.c.lane == lane.value, message.c.not_before <= now)
        .order_by(message.c.not_before)
        .limit(limit)
    )
    if connection.dialect.name == "postgresql":
        locked = due.with_for_update(skip_locked=True).cte("due")
        due = sa.select(locked.c.id)
    change = move(MessageState.READY, MessageState.SCHEDULED).where(message.c.id.in_(due))
    return connection.execute(change.values(reason="", detail="", updated_at=now)).rowcount


def by_ids(connection: Connection, ids: Iterable[str]) -> dict[str, Message]:
    """The messages among ``ids``, by id."""
    found: dict[str, Message] = {}
    for some in chunks(list(ids)):
        query = sa.select(*message_columns()).where(among(connection, message.c.id, some))
        found.update((row.id, as_message(row)) for row in connection.execute(query))
    return found


def message_columns() -> tuple[sa.Column[Any], ...]:
    """The columns ``as_message`` reads."""
    return tuple(message.c[name] for name in _FIELDS)


def as_message(row: Sequence[Any]) -> Message:
    """A row of ``message_columns`` as the domain's value."""
    known = dict(zip(_FIELDS, row, strict=True))
    known["lane"] = _LANES[known["lane"]]
    known["state"] = _STATES[known["state"]]
    known["channels"] = _channels(known["channels"])
    return Message(**known)


@lru_cache(maxsize=256)
def _channels(names: str) -> tuple[ChannelName, ...]:
    return tuple(ChannelName(name) for name in names.split(",") if name)
