"""The outbox rows of one batch of planning, inserted the short way: most of their columns are the same in all.

``storage.outbox.insert_messages`` is the general way in; for a batch of planning it costs several times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.message import MessageState
from outbound.storage import hints
from outbound.storage.bulk import copies, copy_lines, copy_text, insert_ignore, instant_writer
from outbound.storage.outbox import FIRST_STATES
from outbound.storage.sets import among, chunks
from outbound.storage.tables import message

_EMPTY: Mapping[str, Any] = {
    "step": "",
    "leg": 1,
    "attempts": 0,
    "lease_token": 0,
    "worker": "",
    "message_id": "",
    "body_hash": "",
}


@dataclass(frozen=True, slots=True)
class Alike:
    """What messages of the same answer share; the fields are columns of ``message``."""

    template: str
    variant: str
    channels: str
    not_before: datetime
    local_time: str
    zone: str
    expires: datetime
    state: str
    reason: str
    detail: str
    held_by: str
    language: str
    depth: int = 0


class PlannedMessage(NamedTuple):
    """One message. ``context`` is JSON text."""

    id: str
    once: str
    customer_id: str
    context: str
    alike: Alike


_ALIKE = tuple(field.name for field in fields(Alike))
_values: Any = attrgetter(*_ALIKE)  # astuple copies deeply
_COLUMNS = (*PlannedMessage._fields[:-1], *_ALIKE)


def insert_planned(
    connection: Connection, groups: Sequence[tuple[Sequence[PlannedMessage], Mapping[str, Any]]]
) -> set[str]:
    """Insert a batch and answer the ids that were not: a taken (rule, once, customer, step) stays as it is.

    Each group are the messages of one rule and run with the columns they have in common, ``created_at`` among them,
    the same columns in all groups. Raises OutboundError ``outbox.state`` for a row that does not begin ``scheduled``
    or ``ready``.
    """
    groups = [group for group in groups if group[0]]
    if not groups:
        return set()
    commons = [{**_EMPTY, **shared, "updated_at": shared["created_at"]} for _, shared in groups]
    columns = (*_COLUMNS, *commons[0])
    kinds: dict[int, tuple[Any, ...]] = {}
    for (rows, _), common in zip(groups, commons, strict=True):
        alikes = {id(row.alike): row.alike for row in rows}
        states = {alike.state for alike in alikes.values()}
        if not states <= FIRST_STATES:
            raise OutboundError("outbox.state", "a message begins scheduled or ready", "report this as a bug")
        if MessageState.READY in states:
            hints.note(connection, common["lane"])
        values = tuple(common.values())
        kinds |= {key: (*_values(alike), *values) for key, alike in alikes.items()}
    messages = [row for rows, _ in groups for row in rows]
    if copies(connection, len(messages)):
        texts = {key: "\t".join(map(copy_text, values)) for key, values in kinds.items()}
        lines = [
            f"{row.id}\t{copy_text(row.once)}\t{copy_text(row.customer_id)}\t{copy_text(row.context)}\t"
            f"{texts[id(row.alike)]}"
            for row in messages
        ]
        if copy_lines(connection, message, columns, lines):
            return set()
    instant = instant_writer(connection)
    tails = {key: tuple(instant(v) if isinstance(v, datetime) else v for v in values) for key, values in kinds.items()}
    inserted = insert_ignore(connection, message, columns, [row[:4] + tails[id(row.alike)] for row in messages])
    if inserted == len(messages):
        return set()
    ids = [row.id for row in messages]
    found: set[str] = set()
    for some in chunks(ids):
        found.update(connection.execute(sa.select(message.c.id).where(among(connection, message.c.id, some))).scalars())
    return set(ids) - found
