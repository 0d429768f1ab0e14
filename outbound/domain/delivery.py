"""What a provider, or a receiving mail server, tells later about a message it took: one vocabulary for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class DeliveryKind(StrEnum):
    """The news.

    ``queued``, ``sent``, ``deferred``: on its way. ``delivered``: the receiving side has it. ``bounced``: it came back.
    ``rejected``: the provider dropped it without trying. ``failed``: the provider could not handle it.
    ``complained``: marked as spam. ``unsubscribed``, ``subscribed``: said to the provider. ``autoresponded``: a machine
    answered. ``unknown``: a kind we have no word for; it is kept and changes nothing.
    """

    QUEUED = "queued"
    SENT = "sent"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    REJECTED = "rejected"
    FAILED = "failed"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    SUBSCRIBED = "subscribed"
    AUTORESPONDED = "autoresponded"
    UNKNOWN = "unknown"


class BounceKind(StrEnum):
    """Whose fault it was that a message came back.

    ``hard``: the address does not exist, for good. ``soft``: it may work another day (mailbox full, host down).
    ``policy``: the receiving side does not want this message. ``sender``: our own fault: authentication, relaying,
    size or content. Only ``hard`` says anything about the address.
    """

    HARD = "hard"
    SOFT = "soft"
    POLICY = "policy"
    SENDER = "sender"


class RejectReason(StrEnum):
    """Why a provider says that it does not deliver, where it says so in words of its own."""

    INVALID = "invalid"
    BOUNCED = "bounced"
    TIMED_OUT = "timed_out"
    BLOCKED = "blocked"
    SPAM = "spam"
    UNSUBSCRIBED = "unsubscribed"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEvent:
    """One piece of news about one recipient of one message.

    ``event_id`` is the provider's own id of the news, ``key`` what makes it the same news when it is told again
    (``event_id`` where empty). ``reference`` is what the provider calls the message, ``ours`` our own reference
    (``MESSAGE.LEG``) where it was carried along and proven to be ours. ``at`` is the provider's time (UTC), None where
    it names none. ``code`` is the RFC 3463 status or the provider's error number. ``description``, ``response``:
    the provider's and the receiving server's words; they may hold addresses, and no log ever shows them.
    """

    provider: str
    kind: DeliveryKind
    event_id: str = ""
    key: str = ""
    reference: str = ""
    ours: str = ""
    recipient: str = ""
    at: datetime | None = None
    bounce: BounceKind | None = None
    reason: RejectReason | None = None
    code: str = ""
    description: str = ""
    response: str = ""
    url: str = ""
    user_agent: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
