"""Messages that left, as news: an event that the rules see, where one asks for it, and for other systems.

An event for each message would cost a row and a look of the planner each, so it is written only while a release runs
that names it.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Event
from outbound.storage import events, hooks
from outbound.storage.prepared import Prepared
from outbound.storage.sets import insert_into
from outbound.storage.tables import installation

_FACT: Final = "rules.hear_sent"


def listen(connection: Connection, *, heard: bool) -> None:
    """Whether the rules that run from now on ask for ``message.sent``."""
    if heard:
        row = {"name": _FACT, "value": "yes"}
        connection.execute(insert_into(connection, installation).on_conflict_do_nothing(), row)
    else:
        connection.execute(installation.delete().where(installation.c.name == _FACT))


def tell(connection: Connection, message_ids: Sequence[str], *, now: datetime) -> None:
    """These messages were accepted: said once for each leg."""
    if not message_ids:
        return
    if not _heard(connection.dialect.name).rows(connection, {"name": _FACT}):
        hooks.tell_sent(connection, message_ids, now=now)
        return
    told = [
        Event(id=one.key, name=one.event, customer_id=one.customer_id, data=one.data, at=one.at, received_at=now)
        for one in sorted(hooks.sent(connection, message_ids, now=now), key=lambda one: one.key)
    ]
    events.append(connection, told, now=now, source="delivery")  # other systems too


@cache
def _heard(_dialect: str) -> Prepared:
    return Prepared(sa.select(installation.c.value).where(installation.c.name == sa.bindparam("name", type_=sa.Text)))
