"""Opens and clicks are noted only where topic and customer allow it, whoever tells of them (C43)."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from sqlalchemy.engine import Connection

from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.policy import Policy
from outbound.engine.machine_traffic import ALL_LINKS, WAITS, follows_all
from outbound.engine.tracking import tracked
from outbound.storage import delivery_events, outbox, people
from outbound.storage.delivery_events import Fact, Subject

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


def first_judged(event: DeliveryEvent, why: str) -> str:
    """``why`` of an open or a machine's click; a click that looks like a person's waits for those around it (F74)."""
    return why or (WAITS if event.kind is DeliveryKind.CLICKED else "")


def link_of(address: str) -> str:
    """What a click is known by among others of its mail."""
    return hashlib.sha256(address.encode()).hexdigest()[:16] if address else ""


def judge(connection: Connection, facts: Collection[Fact]) -> list[Fact]:
    """Clicks that have waited, each with what it is now that its neighbours are known. Their customers are locked."""
    around = delivery_events.clicks(connection, sorted({fact.subject.message_id for fact in facts if fact.subject}))
    answer = []
    for fact in facts:
        near = around.get(fact.subject.message_id, []) if fact.subject else []
        answer.append(replace(fact, automated=ALL_LINKS if follows_all(fact.at, near) else ""))
    delivery_events.judged(connection, answer)
    return answer
