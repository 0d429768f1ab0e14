"""The outbox rows of one batch of planning, inserted the short way: most of their columns are the same in all.

``storage.outbox.insert_messages`` is the general way in; for 20,000 rows it costs half a second more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.outbox import FIRST_STATES
from outbound.storage.sets import among, chunks
from outbound.storage.tables import message

_OWN = (
    "id",
    "once",
    "customer_id",
    "template",
    "channels",
    "context",
    "not_before",
    "local_time",
    "zone",
    "expires",
    "state",
    "reason",
    "detail",
    "held_by",
    "language",
)
_EMPTY: Mapping[str, Any] = {
    "step": "",
    "variant": "",
    "leg": 1,
    "attempts": 0,
    "lease_token": 0,
    "worker": "",
    "message_id": "",
    "body_hash": "",
    "depth": 0,
}


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """What differs between the messages of a batch; the fields are columns of ``message``."""

    id: str
    once: str
    customer_id: str
    template: str
    channels: str
    context: Mapping[str, Any]
    not_before: datetime
    local_time: str
    zone: str
    expires: datetime
    state: str
    reason: str
    detail: str
    held_by: str
    language: str


def insert_planned(connection: Connection, rows: Sequence[PlannedMessage], *, shared: Mapping[str, Any]) -> set[str]:
    """Insert a batch and answer the ids that were new: a taken (rule, once, customer, step) stays as it is.

    ``shared`` are the columns all rows have in common, ``created_at`` among them. Raises OutboundError
    ``outbox.state`` for a row that does not begin ``scheduled`` or ``ready``.
    """
    if not {row.state for row in rows} <= FIRST_STATES:
        raise OutboundError("outbox.state", "a message begins scheduled or ready", "report this as a bug")
    instant = instant_writer(connection)
    common = {**_EMPTY, **shared}
    common["created_at"] = common["updated_at"] = instant(shared["created_at"])
    tail = tuple(common.values())
    tuples = [
        (
            row.id,
            row.once,
            row.customer_id,
            row.template,
            row.channels,
            json_text(row.context),
            instant(row.not_before),
            row.local_time,
            row.zone,
            instant(row.expires),
            row.state,
            row.reason,
            row.detail,
            row.held_by,
            row.language,
            *tail,
        )
        for row in rows
    ]
    inserted = insert_ignore(connection, message, (*_OWN, *common), tuples)
    ids = [row.id for row in rows]
    if inserted == len(rows):
        return set(ids)
    found: set[str] = set()
    for some in chunks(ids):
        found.update(connection.execute(sa.select(message.c.id).where(among(connection, message.c.id, some))).scalars())
    return found
