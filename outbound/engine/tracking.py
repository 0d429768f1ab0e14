"""Opens and clicks: noted only where the topic says so and the customer agreed to it (C43)."""

from typing import Final

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName
from outbound.domain.person import Person
from outbound.domain.policy import TRACKING, Topic

_SEPARATOR: Final = " "


def tracked(topic: Topic, person: Person, channel: ChannelName) -> str:
    """What may be noted of a message (``opens``, ``clicks``, both with a space between); "" for nothing.

    A text is never tracked. Consent is a plain yes to the topic ``tracking`` on that channel: no other topic's yes,
    no other basis and no silence stands for it.
    """
    if channel is not ChannelName.EMAIL or not topic.track:
        return ""
    said = person.consents.get((TRACKING, channel)) or person.consents.get((TRACKING, ""))
    agreed = said is not None and said.state == ConsentState.GRANTED and said.basis == "consent"
    return _SEPARATOR.join(sorted(topic.track)) if agreed else ""
