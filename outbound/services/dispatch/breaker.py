"""When an account or a destination is paused, probed, and slowly begun with again (delivery.md 2.7).

An account: after refused credentials, five failed connections in a row, or when it says to wait. What a
recipient's server says never opens it. A destination (one domain of one account): after five temporary
refusals in a row, or when more than a fifth of its last fifty answers refused by policy.
"""

from collections import deque
from datetime import datetime, timedelta

from outbound.domain.outcome import MAILBOX_UNUSABLE, Outcome, OutcomeKind
from outbound.services.dispatch.retries import asks_to_wait

_FAILURES = 5
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(minutes=15)
_LAST_ANSWERS, _REFUSED_SHARE = 50, 0.2
_FULL = 64
"""So many at once and the slow start is over."""
_FORGOTTEN = timedelta(seconds=30)
"""A round of the slow start that brought no answers for so long begins again with one message."""
_SOON = timedelta(seconds=1)

K = OutcomeKind


class Breaker:
    """Closed: everything passes. Open: nothing, until a moment. Then one message at a time probes the account.

    After a probe that was answered 1, 2, 4 ... messages pass at once. ``version`` grows with every change that
    other workers should know of.
    """

    def __init__(self) -> None:
        self.version = 0
        self._failures = 0
        self._last_failed = ""
        self._until: datetime | None = None
        self._pause = _FIRST_PAUSE
        self._probing = False
        self._level = self._left = self._answered = 0
        self._ramped_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether the account is paused or being probed."""
        return self._until is not None

    @property
    def until(self) -> datetime | None:
        """When it may be probed; None while it is closed."""
        return self._until

    @property
    def pause_before(self) -> timedelta:
        """How long the present pause is, apart from what the provider asked for."""
        return max(self._pause / 2, _FIRST_PAUSE)

    def waits(self, now: datetime) -> bool:
        """Whether nothing at all may try now."""
        if self._until is not None:
            return now < self._until or self._probing
        return self._exhausted(now)

    def admits(self, now: datetime) -> bool:
        """Whether one more message may try now. When probing is due, the first to ask is the probe."""
        if self.waits(now):
            return False
        if self._until is not None:
            self._probing = True
        elif self._level:
            self._left -= 1
        return True

    def retry_at(self, now: datetime) -> datetime:
        """When it is worth asking again."""
        if self._until is None:
            return now + _SOON if self._exhausted(now) else now
        return self._until if self._until > now else now + _FIRST_PAUSE

    def withdraw_probe(self) -> bool:
        """The message that was to probe never tried: let another. False: nobody was probing."""
        probing, self._probing = self._probing, False
        return probing

    def untried(self) -> None:
        """A message that was admitted did not try."""
        if self._level:
            self._left = min(self._left + 1, self._level)

    def adopt(self, until: datetime | None, pause: timedelta, now: datetime) -> None:
        """What the other workers know: the pause, or (None) that it is over."""
        if until is None:
            if self._until is not None:
                self._close(now)
        elif self._until is None or until > self._until:
            self._until, self._pause, self._probing = until, min(pause * 2, _LONGEST_PAUSE), False
            self._level = 0

    def heard(self, outcome: Outcome, now: datetime, *, domain: str = "") -> bool:
        """Learn from an outcome. True when this very outcome opened the breaker: somebody should be told.

        ``domain`` is whom the message was for: one that hangs again and again is not the account's fault.
        """
        if asks_to_wait(outcome):
            self._told_to_wait(outcome.retry_after, now)
            return False
        if outcome.kind is K.UNCERTAIN:
            # It says nothing about the account.
            self.version += self.withdraw_probe()
            self._count(now)
            return False
        if outcome.kind is not K.NOT_SENT:
            return self._fine(now)
        return self._failed(outcome, now, domain)

    def _told_to_wait(self, seconds: float | None, now: datetime) -> None:
        standing = self._until is not None and not self._probing
        if seconds is None:
            if not standing:  # several in flight hear the same
                self._open(now + self._pause, longer=True)
        elif not standing or self._until is None or now + timedelta(seconds=seconds) > self._until:
            self._open(now + timedelta(seconds=seconds), longer=False)

    def _fine(self, now: datetime) -> bool:
        self._failures, self._last_failed = 0, ""
        if self._until is not None:
            if not self._probing:
                return False  # it left before the breaker opened
            self._close(now)
            self.version += 1
        else:
            self._count(now)
        return False

    def _failed(self, outcome: Outcome, now: datetime, domain: str) -> bool:
        if not (outcome.named and domain and domain == self._last_failed):
            self._failures += 1
        self._last_failed = domain if outcome.named else ""
        if self._until is not None and not self._probing:
            return False  # one of those in flight when it opened
        ramping = self._level > 0
        if not (self._probing or ramping or outcome.account_fault or self._failures >= _FAILURES):
            return False
        first = self._until is None
        self._open(now + self._pause, longer=True)
        return first

    def _open(self, until: datetime, *, longer: bool) -> None:
        self._until = until
        if longer:
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._probing, self._level = False, 0
        self.version += 1

    def _close(self, now: datetime) -> None:
        self._failures, self._until, self._probing = 0, None, False
        self._level = self._left = 1
        self._answered, self._ramped_at = 0, now

    def _count(self, now: datetime) -> None:
        """An answer during the slow start: when a round is answered, the next is twice as large."""
        if not self._level:
            return
        self._answered += 1
        self._ramped_at = now
        if self._answered >= self._level:
            self._level = self._left = self._level * 2
            self._answered = 0
            if self._level > _FULL:
                self._level, self._pause = 0, _FIRST_PAUSE

    def _exhausted(self, now: datetime) -> bool:
        if not self._level or self._left > 0:
            return False
        if self._ramped_at is not None and now >= self._ramped_at + _FORGOTTEN:
            self._level = self._left = 1
            self._answered, self._ramped_at = 0, now
            return False
        return True


class DomainBreaker(Breaker):
    """One destination of an account: deferred, slowed down or refused by policy again and again, it waits alone."""

    def __init__(self) -> None:
        super().__init__()
        self._refusals: deque[bool] = deque(maxlen=_LAST_ANSWERS)

    def heard(self, outcome: Outcome, now: datetime, *, domain: str = "") -> bool:
        """Learn from an outcome. True when this very outcome paused the destination."""
        kind = outcome.kind
        if outcome.account_fault or asks_to_wait(outcome) or (kind is K.NOT_SENT and not outcome.named):
            self.version += self.withdraw_probe()
            self.untried()
            return False  # that is the account's, or the line's
        if kind is K.UNCERTAIN:
            return super().heard(outcome, now, domain=domain)
        delayed = kind in (K.DEFERRED, K.THROTTLED) and outcome.enhanced not in MAILBOX_UNUSABLE
        if delayed or kind is K.NOT_SENT:
            return self._failed(outcome, now, "")
        self._refusals.append(kind is K.REJECTED_POLICY)
        if kind is K.REJECTED_POLICY and (
            self._probing or (self._until is None and sum(self._refusals) > _REFUSED_SHARE * _LAST_ANSWERS)
        ):
            first = self._until is None
            self._refusals.clear()
            self._open(now + self._pause, longer=True)
            return first
        return self._fine(now)
