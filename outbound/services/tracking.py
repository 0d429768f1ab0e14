"""What becomes of a link that leads through us: the reader goes on in any case, and it is noted where they agreed.

A hit is kept as news of the message under the provider ``page``, with why it is likely a machine's (fault F74). A
person's is ``message.opened`` or ``message.clicked``, once for each message, and proves that the message arrived. A
click is a person's only once the daemon has looked, seconds later, what else of the mail was followed with it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.engine.machine_traffic import automated
from outbound.services import releases
from outbound.services.inbox import readers, settling
from outbound.services.releases import Active
from outbound.storage import delivery_events, locks, outbox
from outbound.storage.database import Database
from outbound.storage.delivery_events import Fact, Subject

PAGE: Final = "page"
_MOST: Final = 50
"""Hits of one kind that are kept of one message: whoever presses on learns nothing and fills nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One request for a picture or ``link`` (its id) of a message; ``method`` and ``user_agent`` as it had them."""

    message_id: str
    kind: DeliveryKind
    method: str
    user_agent: str = ""
    link: bytes = b""


def destination(database: Database, active: Active, message_id: str, link: bytes) -> str | None:
    """Where a link of a message leads: what the release that worded it has under that id, else the one that runs.

    None for what no template says. Nothing of the request but the id is ever asked.
    """
    with database.read() as connection:
        found = outbox.by_ids(connection, [message_id]).get(message_id)
    if found is not None and found.release and found.release != active.id:
        try:
            before = releases.by_id(database, found.release).templates.destination(link)
        except OutboundError:  # pruned: what runs now has most of the same links
            before = None
        if before is not None:
            return before
    return active.templates.destination(link)


def note(database: Database, active: Active, keyring: Keyring, hit: Hit, *, now: datetime) -> bool:
    """Keep a hit where topic and customer allow it, also now; False where nothing may be kept."""
    with database.read() as connection:
        if _allowed(connection, active, hit) is None:
            return False
    with database.write() as connection:
        about = _allowed(connection, active, hit)
        if about is None or delivery_events.hits(connection, about.message_id, hit.kind, PAGE) >= _MOST:
            return False
        locks.customers(connection, [about.customer_id])
        left = delivery_events.left_at(connection, [about.message_id]).get((about.message_id, about.leg))
        seconds = (now - left).total_seconds() if left else None
        why = automated(method=hit.method, user_agent=hit.user_agent, seconds=seconds)
        news = DeliveryEvent(provider=PAGE, kind=hit.kind, ours=f"{about.message_id}.{about.leg}", at=now)
        fact = Fact(
            event=news,
            key=new_id(now),
            inbox_id="",
            at=now,
            received_at=now,
            proven=True,
            address_hash=keyring.address_hash(about.channel.value, about.address) if about.address else "",
            automated=readers.first_judged(news, why),
            link=hit.link.hex(),
            subject=about,
        )
        delivery_events.keep(connection, [fact])
        settling.settle(connection, [fact], policy=active.ruleset.policy, keyring=keyring, now=now)
    return True


def _allowed(connection: Connection, active: Active, hit: Hit) -> Subject | None:
    """The leg that was a mail, if this may be noted of it."""
    asked = DeliveryEvent(provider=PAGE, kind=hit.kind, ours=f"{hit.message_id}.0")
    about = delivery_events.subjects(connection, [asked]).get((asked.ours, ""))
    if about is None:
        return None
    noted = readers.allowed(connection, active.ruleset.policy, [about])
    return about if hit.kind in noted.get(about.message_id, ()) else None
