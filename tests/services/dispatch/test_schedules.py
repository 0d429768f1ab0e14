"""Retry schedules and the account breaker, by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.breaker import Breaker
from outbound.services.dispatch.retries import delay

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
K = OutcomeKind
REFUSED = Outcome(kind=K.NOT_SENT)
FINE = Outcome(kind=K.ACCEPTED)
NO_SUCH_USER = Outcome(kind=K.REJECTED_RECIPIENT)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "message_class", "expected"),
    [
        (K.DEFERRED, "marketing", [5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 4 * HOUR]),
        (K.THROTTLED, "service", [5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 4 * HOUR]),
        (K.DEFERRED, "security", [5 * SECOND, 15 * SECOND, 45 * SECOND, 2 * MINUTE, 2 * MINUTE]),
        (K.NOT_SENT, "marketing", [30 * SECOND, MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 15 * MINUTE, 15 * MINUTE]),
    ],
)
def test_the_schedule_of_an_outcome(kind: OutcomeKind, message_class: str, expected: list[timedelta]) -> None:
    """delivery.md 2.5; the last step repeats until the message expires."""
    waits = [
        delay(Outcome(kind=kind), message_class=message_class, tries=n, jitter=0.0) for n in range(1, len(expected) + 1)
    ]
    assert waits == expected


def test_jitter_adds_at_most_a_fifth_and_never_shortens() -> None:
    base = delay(Outcome(kind=K.DEFERRED), message_class="service", tries=1, jitter=0.0)
    most = delay(Outcome(kind=K.DEFERRED), message_class="service", tries=1, jitter=0.999999)
    assert base < most <= base * 1.2


def test_a_provider_that_says_when_is_believed() -> None:
    asked = Outcome(kind=K.THROTTLED, code=429, retry_after=3600)
    assert delay(asked, message_class="marketing", tries=1, jitter=0.0) == HOUR


def test_a_full_mailbox_waits_days() -> None:
    full = Outcome(kind=K.DEFERRED, code=552, enhanced="5.2.2")
    assert delay(full, message_class="marketing", tries=1, jitter=0.0) == timedelta(days=1)


def test_five_failed_connections_in_a_row_open_it_and_an_answer_in_between_does_not() -> None:
    breaker = Breaker()
    for _ in range(4):
        assert not breaker.heard(REFUSED, NOW)
    breaker.heard(NO_SUCH_USER, NOW)  # the account works: somebody answered
    opened = [breaker.heard(REFUSED, NOW) for _ in range(5)]
    assert opened == [False] * 4 + [True]
    assert not breaker.admits(NOW)
    assert breaker.retry_at(NOW) == NOW + 30 * SECOND


def test_refused_credentials_open_it_at_once() -> None:
    breaker = Breaker()
    assert breaker.heard(Outcome(kind=K.NOT_SENT, code=535, account_fault=True), NOW)
    assert breaker.open


def test_what_recipients_are_refused_for_never_opens_it() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.heard(NO_SUCH_USER, NOW)
        breaker.heard(Outcome(kind=K.REJECTED_POLICY), NOW)
        breaker.heard(Outcome(kind=K.DEFERRED), NOW)
    assert not breaker.open


def test_one_probe_at_a_time_and_the_pause_doubles_to_a_quarter_of_an_hour() -> None:
    breaker, now = Breaker(), NOW
    breaker.heard(Outcome(kind=K.NOT_SENT, account_fault=True), now)
    pauses = []
    for _ in range(7):
        pause = breaker.retry_at(now) - now
        pauses.append(pause)
        now += pause
        assert breaker.admits(now)
        assert not breaker.admits(now), "a second message probed"
        assert not breaker.heard(REFUSED, now), "told twice about one failure"
    assert pauses == [30 * SECOND, MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE, 15 * MINUTE, 15 * MINUTE]
    now += pauses[-1]
    assert breaker.admits(now)
    breaker.heard(FINE, now)
    assert not breaker.open
    assert breaker.admits(now)
    assert breaker.admits(now)


def test_a_probe_that_never_tried_makes_room_for_another() -> None:
    breaker = Breaker()
    breaker.heard(Outcome(kind=K.NOT_SENT, account_fault=True), NOW)
    assert breaker.admits(NOW + MINUTE)
    breaker.withdraw_probe()
    assert breaker.admits(NOW + MINUTE)


def test_a_throttled_account_waits_as_long_as_it_was_told() -> None:
    """429 with Retry-After pauses the account; a 4.7.x about one recipient does not."""
    breaker = Breaker()
    breaker.heard(Outcome(kind=K.THROTTLED, code=421, enhanced="4.7.0"), NOW)
    assert not breaker.open
    breaker.heard(Outcome(kind=K.THROTTLED, code=429, retry_after=90), NOW)
    assert breaker.retry_at(NOW) == NOW + 90 * SECOND
