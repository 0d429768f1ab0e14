"""What came in since somebody asked last: cheap enough to ask a hundred times a second.

It only makes a daemon look before its next tick. What it misses, the tick finds.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from outbound.domain.message import Lane, MessageState
from outbound.storage.database import Database
from outbound.storage.outbox import state_is
from outbound.storage.prepared import Prepared
from outbound.storage.tables import event, message

_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """``events``: one that the rules have not seen. ``express``: a transactional or security message is due."""

    events: bool = False
    express: bool = False


class Arrivals:
    """Belongs to one thread at a time. SQLite says by itself whether anybody wrote; PostgreSQL is asked each time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watched: Any = None
        self._version = -1
        self._newest: tuple[Any, ...] | None = None
        self._due = 0

    def moved(self) -> bool:
        """Whether anything can be new. Takes microseconds on SQLite and waits for nobody."""
        if not self._database.is_sqlite:
            return True
        if self._watched is None:
            self._watched = self._database.engine.raw_connection()
        driver = self._watched.driver_connection
        before, self._version = self._version, int(driver.execute("PRAGMA data_version").fetchone()[0])
        return self._version != before

    def news(self, *, now: datetime) -> News:
        """What is new. An event that waits for its customer, or a message that nobody can take, is news once."""
        if self._database.is_sqlite:
            with self._database.read() as connection:
                [row] = _NEWS.rows(connection, {"now": now, "most": _MOST})
        else:
            engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                [row] = _NEWS.rows(connection, {"now": now, "most": _MOST})
        newest, due = row[0], int(row[1])
        found = News(events=newest is not None and newest != self._newest, express=due > self._due)
        self._newest, self._due = newest, due
        return found

    def close(self) -> None:
        """Give the connection back."""
        watched, self._watched = self._watched, None
        if watched is not None:
            watched.close()


_PENDING = (
    sa.select(event.c.id)
    .where(event.c.handled_at.is_(None))
    .order_by(event.c.received_at.desc(), event.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_EXPRESS = (
    sa.select(message.c.id)
    .where(
        state_is(MessageState.READY),
        message.c.lane == Lane.EXPRESS.value,
        message.c.not_before <= sa.bindparam("now", type_=message.c.not_before.type),
    )
    .limit(sa.bindparam("most"))
    .subquery()
)
_NEWS = Prepared(sa.select(_PENDING, sa.select(sa.func.count()).select_from(_EXPRESS).scalar_subquery()))
