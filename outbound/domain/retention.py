"""How long what is kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Days; 0 keeps for ever. Counted from when it ended: a message from its last move, a word from the next one.

    ``contexts``: what a message was rendered from. ``events``: what happened to customers, and texts. ``inbox``: raw
    webhooks and mails. ``consents``: words that another one overtook. ``messages``: rows of messages, which are folded
    into their run. ``audit``: who saw and changed what. ``webhooks``: what other systems were told, or could not be.
    """

    contexts: int = 90
    events: int = 396
    inbox: int = 90
    consents: int = 1826
    messages: int = 1826
    audit: int = 1826
    webhooks: int = 30
