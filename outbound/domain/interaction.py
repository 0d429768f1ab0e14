"""A contact that came in: what a customer said or asked, on which channel, and which message it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from outbound.domain.customer import ChannelName


class InteractionKind(StrEnum):
    """How the contact came about.

    ``reply``: a mail or text that answers a message of ours; ``message``: one that answers none that we know.
    ``call``, ``visit``, ``chat`` and ``other`` are noted by whoever spoke with the customer.
    """

    REPLY = "reply"
    MESSAGE = "message"
    CALL = "call"
    VISIT = "visit"
    CHAT = "chat"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One contact in.

    ``customer_id`` is empty while nobody is known under ``address`` (what the contact came from, empty for a visit).
    ``message_id`` and ``leg`` are the message of ours that it answers, empty and 0 without one. ``source`` says where
    it was recorded (``twilio``, ``mail``, an API key, the command line), ``key`` is its id there: the same key again
    is the same contact. ``by`` is who wrote it down, ``attention`` why a person should read it (empty: no need).
    ``at`` is when it happened, ``recorded_at`` when we learned of it, both UTC.
    """

    id: str
    customer_id: str
    kind: InteractionKind
    channel: ChannelName | None
    text: str
    at: datetime
    recorded_at: datetime
    source: str
    key: str = ""
    subject: str = ""
    address: str = ""
    message_id: str = ""
    leg: int = 0
    by: str = ""
    attention: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
