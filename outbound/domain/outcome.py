"""A provider's immediate answer to one attempt. The attempt stores the same word."""

from dataclasses import dataclass
from enum import StrEnum


class OutcomeKind(StrEnum):
    """The closed result of one attempt (docs/delivery.md has the table of signals).

    ``not_sent``: provably not handed over, the recipient is not at fault. ``deferred``: try later.
    ``throttled``: slow down. ``rejected_*``: a final no, by whose fault. ``uncertain``: nobody can know.
    """

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    DEFERRED = "deferred"
    THROTTLED = "throttled"
    REJECTED_RECIPIENT = "rejected_recipient"
    REJECTED_SENDER = "rejected_sender"
    REJECTED_CONTENT = "rejected_content"
    REJECTED_POLICY = "rejected_policy"
    UNCERTAIN = "uncertain"


MAILBOX_UNUSABLE = ("5.2.1", "5.2.2")
"""RFC 3463 3.3: the mailbox is disabled, or full. People take days to notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer, with the provider's own words kept.

    ``code`` is the SMTP or HTTP status, ``enhanced`` the RFC 3463 status or the provider's error number,
    ``retry_after`` is in seconds, ``suppress`` is the reason for which the address must be suppressed
    (``bounced.hard``, ``opted_out``) or empty; ``account_fault`` means the provider account itself is refused;
    ``named`` that the line broke or hung after the recipient was named, so that their server may be the cause.
    """

    kind: OutcomeKind
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    provider_ref: str = ""
    retry_after: float | None = None
    suppress: str = ""
    account_fault: bool = False
    named: bool = False


class Phase(StrEnum):
    """How far an attempt got. Between ``handoff`` and ``replied`` the provider may or may not have the message."""

    STARTED = "started"
    HANDOFF = "handoff"
    REPLIED = "replied"
