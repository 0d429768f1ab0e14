"""What else reaches the same customer: what caps count and what a message competes with."""

from dataclasses import dataclass
from datetime import datetime

from outbound.domain.customer import ChannelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A message that left, may have left or is leaving. ``at`` (UTC) is when its gate let it go."""

    message_class: str
    topic: str
    channel: ChannelName
    at: datetime
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A queued message of the same customer that obeys caps too.

    ``due`` is when it was planned to leave, ``not_before`` when it will ask its gate next, both UTC.
    """

    message_id: str
    rule: str
    priority: int
    due: datetime
    not_before: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Contacts of one customer as far back as any cap of the policy looks, and the rivals due about now."""

    contacts: tuple[Contact, ...] = ()
    rivals: tuple[Rival, ...] = ()


QUIET = Traffic()
"""Nothing else: the usual case when planning."""
