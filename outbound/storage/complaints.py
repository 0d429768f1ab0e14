"""How many mails of the last days were called spam by who got them, of how many."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.complaints import Complaints
from outbound.domain.customer import ChannelName
from outbound.domain.ids import first_id
from outbound.domain.message import MessageState
from outbound.storage.tables import delivery_event, leg, message


def since(connection: Connection, at: datetime) -> Complaints:
    """Complaints told since ``at``, and the mails made and accepted since then; nothing is counted without a complaint.

    A mail that two providers tell of is one. The keys of messages begin with when they were made: neither question
    looks at more than these days.
    """
    told = (delivery_event.c.kind == sa.literal_column("'complained'"), delivery_event.c.at >= at)
    query = sa.select(sa.func.count(sa.distinct(delivery_event.c.message_id)))
    query = query.where(*told, delivery_event.c.proven, delivery_event.c.message_id != "")
    complained = int(connection.execute(query).scalar_one())
    if not complained:
        return Complaints()
    mails = (
        sa.select(sa.func.count())
        .select_from(leg.join(message, message.c.id == leg.c.message_id))
        .where(leg.c.message_id >= first_id(at), leg.c.channel == ChannelName.EMAIL.value)
        .where(message.c.sent_at >= at, message.c.state == MessageState.SENT.value)
    )
    return Complaints(complained=complained, mails=int(connection.execute(mails).scalar_one()))
