"""A folder that stands in for every channel: openable files and a page to look through them."""

from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.mailbox.index import write_index

__all__ = ["MailboxAdapter", "write_index"]
