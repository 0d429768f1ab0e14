"""Mailboxes that cannot be used time and again: the address is blocked, as after a hard bounce."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import Suppression
from outbound.domain.outcome import MAILBOX_UNUSABLE
from outbound.storage.tables import attempt, leg

TIMES = 3
WITHIN = timedelta(days=14)
"""On so many days of this time (a judgement, not a standard)."""


class Bounce(Protocol):
    """What one attempt came to (``outbox_results.Result``)."""

    @property
    def message_id(self) -> str:
        """The message."""
        ...

    @property
    def leg(self) -> int:
        """Its leg."""
        ...

    @property
    def suppress_repeated(self) -> tuple[Suppression, ...]:
        """The blocks this outcome brings once it has happened often enough."""
        ...


def repeated(connection: Connection, results: Sequence[Bounce], *, now: datetime) -> list[Suppression]:
    """The blocks that are due: 5.2.1 or 5.2.2 from the same address on three days of the last fourteen.

    Days, not answers: three letters on one day to a mailbox that is full tell no more than one.
    """
    blocks: list[Suppression] = []
    for result in results:
        if not result.suppress_repeated:
            continue
        mine, other = leg.alias("mine"), leg.alias("other")
        same = sa.and_(other.c.customer_id == mine.c.customer_id, other.c.address == mine.c.address)
        tried = sa.and_(attempt.c.message_id == other.c.message_id, attempt.c.leg == other.c.n)
        query = (
            sa.select(attempt.c.replied_at)
            .select_from(mine.join(other, same).join(attempt, tried))
            .where(mine.c.message_id == result.message_id, mine.c.n == result.leg)
            .where(attempt.c.enhanced.in_(MAILBOX_UNUSABLE), attempt.c.replied_at > now - WITHIN)
        )
        days = {moment.date() for moment in connection.execute(query).scalars()} | {now.date()}
        if len(days) >= TIMES:
            blocks += result.suppress_repeated
    return blocks
