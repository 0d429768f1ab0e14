"""What an answer of the customer stops: a leg that was opened and has not left."""

from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.domain.reasons import ReasonCode
from outbound.storage.outbox import move
from outbound.storage.tables import message

S = MessageState


def stop_escalation(connection: Connection, message_id: str, *, now: datetime) -> bool:
    """A message that waits on a further leg is cancelled: its customer has answered an earlier one."""
    change = move(S.CANCELLED, S.SCHEDULED, S.READY).where(message.c.id == message_id, message.c.leg > 1)
    values = {"reason": ReasonCode.REPLIED.value, "detail": "", "lease_until": None, "updated_at": now}
    return connection.execute(change.values(**values)).rowcount == 1
