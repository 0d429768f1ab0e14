"""What a rule has left behind so far: what a plan says about changing or removing it."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage.outbox import state_is
from outbound.storage.tables import decision, message


def told(connection: Connection, rule: str) -> int:
    """Customers for whom the rule made a message, under whatever key."""
    query = sa.select(sa.func.count(decision.c.customer_id.distinct())).where(
        decision.c.rule == rule, decision.c.verdict != "skip"
    )
    return int(connection.execute(query).scalar_one())


def waiting(connection: Connection, rule: str) -> int:
    """Messages of the rule that have not left yet."""
    query = sa.select(sa.func.count()).where(
        message.c.rule == rule, state_is(MessageState.SCHEDULED, MessageState.READY)
    )
    return int(connection.execute(query).scalar_one())
