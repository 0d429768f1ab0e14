"""What becomes of a message, as an event of its customer: always declared, in every schema."""

from typing import Final

PREFIX: Final = "message."
"""Names that begin so belong to the product."""

MESSAGE_EVENTS: Final = (
    "message.sent",
    "message.delivered",
    "message.opened",
    "message.clicked",
    "message.bounced",
    "message.complained",
    "message.replied",
    "message.unsubscribed",
)

MESSAGE_FIELDS: Final = ("rule", "message", "step", "topic", "channel")
"""Optional texts: the rule and the message it made, the step of a journey, topic and channel of the message."""

ALWAYS: Final = ("rule", "message", "topic", "channel")
"""Those that every event about a message of ours carries. Somebody else's may lack them, and then they are missing."""
