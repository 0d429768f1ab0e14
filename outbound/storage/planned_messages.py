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


def insert_planned(connection: Connection, rows: Sequence[PlannedMessage], *, shared: Mapping[str, Any]) -> set[str]:
    """Insert a batch and answer the ids that were not: a taken (rule, once, customer, step) stays as it is.

    ``shared`` are the columns all rows have in common, ``created_at`` among them. Raises OutboundError
    ``outbox.state`` for a row that does not begin ``scheduled`` or ``ready``.
    """
    kinds = {id(row.alike): row.alike for row in rows}
    if not {alike.state for alike in kinds.values()} <= FIRST_STATES:
        raise OutboundError("outbox.state", "a message begins scheduled or ready", "report this as a bug")
    if any(alike.state == MessageState.READY for alike in kinds.values()):
        hints.note(connection, shared["lane"])
    common = {**_EMPTY, **shared, "updated_at": shared["created_at"]}
    columns = (*_COLUMNS, *common)
    if copies(connection, len(rows)):
        texts = {key: "\t".join(map(copy_text, (*_values(a), *common.values()))) for key, a in kinds.items()}
        lines = [
            f"{row.id}\t{copy_text(row.once)}\t{copy_text(row.customer_id)}\t{copy_text(row.context)}\t"
            f"{texts[id(row.alike)]}"
            for row in rows
        ]
        if copy_lines(connection, message, columns, lines):
            return set()
    instant = instant_writer(connection)
    tails = {
        key: tuple(instant(v) if isinstance(v, datetime) else v for v in (*_values(a), *common.values()))
        for key, a in kinds.items()
    }
    inserted = insert_ignore(connection, message, columns, [row[:4] + tails[id(row.alike)] for row in rows])
    if inserted == len(rows):
        return set()
    ids = [row.id for row in rows]
    found: set[str] = set()
    for some in chunks(ids):
        found.update(connection.execute(sa.select(message.c.id).where(among(connection, message.c.id, some))).scalars())
    return set(ids) - found
