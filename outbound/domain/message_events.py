"""Events that the product itself records, always declared in every schema.

``message.*``: what becomes of a message. ``request.*``: what a customer asks of us; a rule that listens answers.
``interaction.*``: what somebody noted of a contact.
"""

from collections.abc import Mapping
from typing import Final

PREFIX: Final = "message."
REQUEST_PREFIX: Final = "request."
INTERACTION_PREFIX: Final = "interaction."
PREFIXES: Final = (PREFIX, REQUEST_PREFIX, INTERACTION_PREFIX)
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

BOUNCED: Final = "message.bounced"

BOUNCED_FIELDS: Final = (*MESSAGE_FIELDS, "bounce")
"""``bounce`` is whose fault it was: ``hard``, ``soft``, ``policy`` or ``sender`` (``domain.delivery.BounceKind``)."""

ALWAYS: Final = ("rule", "message", "topic", "channel")
"""Those that every event about a message of ours carries. Somebody else's may lack them, and then they are missing."""

REQUEST_EVENTS: Final = (
    "request.stop",
    "request.start",
    "request.help",
    "request.export",
    "request.erase",
    "request.access",
    "request.confirm",
)

REQUEST_FIELDS: Final = ("channel", "link", "title")
"""Optional texts: the channel it came by, the link that answers or confirms it, and what customers call the topic."""

NOTED: Final = "interaction.noted"
"""A call, a visit or a chat was written down."""

NOTED_FIELDS: Final = ("kind", "interaction", "message")
"""Optional texts: call, visit, chat or other; the id of the note; the message that it answers."""

BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(MESSAGE_EVENTS, MESSAGE_FIELDS),
    BOUNCED: BOUNCED_FIELDS,
    **dict.fromkeys(REQUEST_EVENTS, REQUEST_FIELDS),
    NOTED: NOTED_FIELDS,
}
"""Every event of the product with its fields."""
