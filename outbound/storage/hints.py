"""What a transaction leaves for others to look at: noted while it works, given to them with its commit.

A hint names a kind of work and never a row of it. A lost or repeated one is harmless: whoever works looks at the
record every tick anyway (docs/adr/0004).
"""

from collections.abc import Callable
from enum import StrEnum

from sqlalchemy.engine import Connection

from outbound.domain.message import Lane

_NOTED = "outbound_hints"


class Subject(StrEnum):
    """What there is to look at: events that no rule has seen, or due messages of a lane."""

    EVENTS = "events"
    EXPRESS = "express"
    BULK = "bulk"


Give = Callable[[Connection, frozenset[Subject]], None]


def note(connection: Connection, subject: Subject | Lane | str) -> None:
    """This transaction leaves something of that kind."""
    connection.info.setdefault(_NOTED, set()).add(Subject(subject))


def noted(connection: Connection) -> frozenset[Subject]:
    """What this transaction has noted."""
    return frozenset(connection.info.get(_NOTED, ()))


def note_nothing(connection: Connection) -> None:
    """Forget what the last transaction of this connection noted."""
    connection.info.pop(_NOTED, None)
