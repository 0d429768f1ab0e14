"""One provider account: open after refused credentials or five failed connections in a row (delivery.md 2.7).

What a recipient's server says never opens it.
"""

from datetime import datetime, timedelta

from outbound.domain.outcome import Outcome, OutcomeKind

_FAILURES = 5
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=15)


class Breaker:
    """Closed: everything passes. Open: nothing, until a moment. Then one message at a time probes the account."""

    def __init__(self) -> None:
        self._failures = 0
        self._until: datetime | None = None
        self._pause = _FIRST_PAUSE
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether the account is paused or being probed."""
        return self._until is not None

    def admits(self, now: datetime) -> bool:
        """Whether one more message may try now. When probing is due, the first to ask is the probe."""
        if self._until is None:
            return True
        if now < self._until or self._probing:
            return False
        self._probing = True
        return True

    def retry_at(self, now: datetime) -> datetime:
        """When it is worth asking again."""
        if self._until is None:
            return now
        return self._until if self._until > now else now + _FIRST_PAUSE

    def withdraw_probe(self) -> None:
        """The message that was to probe never tried: let another."""
        self._probing = False

    def heard(self, outcome: Outcome, now: datetime) -> bool:
        """Learn from an outcome. True when this very outcome opened the breaker: somebody should be told."""
        if outcome.kind is OutcomeKind.THROTTLED and outcome.retry_after is not None:
            self._probing = False
            self._until = now + timedelta(seconds=outcome.retry_after)  # the provider said when
            return False
        if outcome.kind is OutcomeKind.UNCERTAIN:
            self._probing = False  # it says nothing about the account
            return False
        if outcome.kind is not OutcomeKind.NOT_SENT:
            self._failures, self._until, self._pause, self._probing = 0, None, _FIRST_PAUSE, False
            return False
        self._failures += 1
        if self._until is not None and not self._probing:
            return False  # one of those in flight when it opened
        if not (self._probing or outcome.account_fault or self._failures >= _FAILURES):
            return False
        first = self._until is None
        self._until = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._probing = False
        return first
