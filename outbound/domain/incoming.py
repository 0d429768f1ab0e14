"""A mail or text that somebody sent to us, read from whatever brought it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from outbound.domain.customer import ChannelName


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """One mail or text.

    ``key`` is its id at whoever brought it, empty where it has none. ``envelope_sender`` and ``envelope_recipient``
    are what the transport was told, ``sender`` what the message says of itself. ``message_id`` is its own Message-ID,
    ``references`` the Message-IDs it answers, the nearest first. ``ours`` is our own reference (``MESSAGE.LEG``) where
    a signed address proves it. ``automatic`` says why it is a machine's answer (RFC 3834), empty for a person's.
    ``spam``: the provider's judgement, None where it has none.
    """

    provider: str
    channel: ChannelName
    sender: str
    text: str
    key: str = ""
    recipient: str = ""
    envelope_sender: str = ""
    envelope_recipient: str = ""
    subject: str = ""
    at: datetime | None = None
    message_id: str = ""
    references: tuple[str, ...] = ()
    ours: str = ""
    automatic: str = ""
    spam: bool | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
