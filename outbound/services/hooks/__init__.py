"""Telling other systems what happens: durable queues, posted in the background, never in the way of a message."""

from outbound.services.hooks.posting import Answered, Courier, Posting, next_try
from outbound.services.hooks.queues import HookStatus, again, declare, statuses, switch_on

__all__ = [
    "Answered",
    "Courier",
    "HookStatus",
    "Posting",
    "again",
    "declare",
    "next_try",
    "statuses",
    "switch_on",
]
