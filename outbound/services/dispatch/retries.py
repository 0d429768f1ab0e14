"""When to try again: the schedules of delivery.md 2.5, as data."""

from datetime import timedelta

from outbound.domain.outcome import MAILBOX_UNUSABLE as UNUSABLE_CODES
from outbound.domain.outcome import Outcome, OutcomeKind

_MINUTE = timedelta(minutes=1)

SECURITY = (timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45), 2 * _MINUTE)
DEFERRED = (5 * _MINUTE, 15 * _MINUTE, timedelta(hours=1), timedelta(hours=4))
NOT_SENT = (timedelta(seconds=30), _MINUTE, 2 * _MINUTE, 4 * _MINUTE, 8 * _MINUTE, 15 * _MINUTE)
MAILBOX_UNUSABLE = (timedelta(days=1), timedelta(days=2))
"""5.2.1 and 5.2.2: disabled or full; people take days to notice (a judgement, not a standard)."""

_JITTER = 0.2
_TOO_MANY = 429


def delay(outcome: Outcome, *, message_class: str, tries: int, jitter: float) -> timedelta:
    """How long to wait after the ``tries``-th try (from 1) that ended in ``outcome``.

    The last step of a schedule repeats until the message expires. ``jitter`` in [0, 1) adds up to 20 %.
    """
    if message_class == "security":
        steps: tuple[timedelta, ...] = SECURITY
    elif outcome.enhanced in UNUSABLE_CODES:
        steps = MAILBOX_UNUSABLE
    elif outcome.kind is OutcomeKind.NOT_SENT:
        steps = NOT_SENT
    else:
        steps = DEFERRED
    base = steps[min(max(tries, 1), len(steps)) - 1]
    asked = timedelta(seconds=outcome.retry_after or 0)
    return max(base, asked) * (1 + _JITTER * jitter)


def charged(outcome: Outcome) -> bool:
    """Whether the try counts for the schedule: neither where nothing left, nor where the account was told to wait."""
    return outcome.kind is not OutcomeKind.NOT_SENT and not asks_to_wait(outcome)


def asks_to_wait(outcome: Outcome) -> bool:
    """Whether the provider asked the whole account to wait (RFC 6585 4, fault F28), not one recipient."""
    return outcome.kind is OutcomeKind.THROTTLED and (outcome.retry_after is not None or outcome.code == _TOO_MANY)
