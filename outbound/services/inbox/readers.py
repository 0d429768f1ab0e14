"""Opens and clicks are noted only where topic and customer allow it, whoever tells of them (C43)."""

from collections.abc import Collection
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.delivery import DeliveryKind
from outbound.domain.policy import Policy
from outbound.engine.tracking import tracked
from outbound.storage import outbox, people
from outbound.storage.delivery_events import Subject

WORD: Final = {DeliveryKind.OPENED: "opens", DeliveryKind.CLICKED: "clicks"}
"""What a topic's ``track`` calls them."""


def allowed(
    connection: Connection, policy: Policy, subjects: Collection[Subject]
) -> dict[str, frozenset[DeliveryKind]]:
    """What may be noted of each message: it was allowed when the message was written, and it still is."""
    messages = outbox.by_ids(connection, {about.message_id for about in subjects})
    noted = {about.message_id: about for about in subjects if messages[about.message_id].tracked}
    persons = people.load_people(connection, sorted({about.customer_id for about in noted.values()})) if noted else {}
    answer = {}
    for message_id, about in noted.items():
        message = messages[message_id]
        person, topic = persons.get(about.customer_id), policy.topics.get(message.topic)
        if person is not None and topic is not None:
            words = {*(message.tracked or "").split()} & {*tracked(topic, person, about.channel).split()}
            answer[message_id] = frozenset(kind for kind, word in WORD.items() if word in words)
    return answer
