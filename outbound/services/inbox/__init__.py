"""What comes in: kept before it is answered, worked on afterwards, once, in any order."""

from outbound.services.inbox.receiving import Receiver
from outbound.services.inbox.working import MAIL, Inbox, Read, Worked

__all__ = ["MAIL", "Inbox", "Read", "Receiver", "Worked"]
