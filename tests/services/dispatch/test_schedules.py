"""Retry schedules and the account breaker, by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.breaker import Breaker, DomainBreaker
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


def test_after_a_pause_one_then_two_then_four_pass_at_once() -> None:
    """Slow start: a round is twice the last, once all of it was answered; then everything passes again."""
    breaker = Breaker()
    breaker.heard(Outcome(kind=K.NOT_SENT, account_fault=True), NOW)
    now = NOW + MINUTE
    assert breaker.admits(now)
    breaker.heard(FINE, now)
    rounds = []
    for _ in range(8):
        passed = 0
        while passed < 200 and breaker.admits(now):
            passed += 1
        rounds.append(passed)
        for _ in range(passed):
            breaker.heard(FINE, now)
    assert rounds == [1, 2, 4, 8, 16, 32, 64, 200]


def test_a_failure_in_the_slow_start_pauses_again_and_longer() -> None:
    breaker = Breaker()
    breaker.heard(Outcome(kind=K.NOT_SENT, account_fault=True), NOW)
    now = NOW + MINUTE
    assert breaker.admits(now)
    breaker.heard(FINE, now)
    assert breaker.admits(now)
    assert breaker.heard(REFUSED, now)
    assert breaker.retry_at(now) == now + MINUTE


def test_a_round_of_the_slow_start_whose_answers_are_lost_begins_again() -> None:
    """What was admitted and cancelled must not close the account for good."""
    breaker = Breaker()
    breaker.heard(Outcome(kind=K.NOT_SENT, account_fault=True), NOW)
    assert breaker.admits(NOW + MINUTE)
    breaker.heard(FINE, NOW + MINUTE)
    assert breaker.admits(NOW + MINUTE)
    assert not breaker.admits(NOW + MINUTE)
    assert breaker.admits(NOW + 2 * MINUTE)


def test_one_destination_that_hangs_is_not_the_accounts_fault() -> None:
    """F32: the same domain again and again counts once; two domains that break the line are the account's."""
    hangs = Outcome(kind=K.NOT_SENT, named=True)
    breaker = Breaker()
    for _ in range(20):
        breaker.heard(hangs, NOW, domain="slow.example")
    assert not breaker.open
    for n in range(5):
        breaker.heard(hangs, NOW, domain=f"other{n}.example")
    assert breaker.open


def test_a_destination_that_refuses_by_policy_is_paused_when_it_is_more_than_a_fifth_of_fifty() -> None:
    """delivery.md 2.7: ten of the last fifty do not open it, eleven do; a refused probe doubles the pause."""
    refused = Outcome(kind=K.REJECTED_POLICY, code=550, enhanced="5.7.1")
    breaker = DomainBreaker()
    for n in range(50):
        breaker.heard(refused if n % 5 == 0 else FINE, NOW)
    assert not breaker.open
    opened = [breaker.heard(refused, NOW) for _ in range(2)]
    assert opened == [False, True]  # the first pushed out one as old
    now = NOW + 30 * SECOND
    assert breaker.admits(now)
    breaker.heard(refused, now)
    assert breaker.retry_at(now) == now + MINUTE


def test_a_destination_that_defers_five_times_in_a_row_is_paused_and_full_mailboxes_do_not_count() -> None:
    breaker = DomainBreaker()
    for _ in range(20):
        breaker.heard(Outcome(kind=K.DEFERRED, code=552, enhanced="5.2.2"), NOW)
        breaker.heard(NO_SUCH_USER, NOW)
        breaker.heard(REFUSED, NOW)  # before the recipient was named: the account's matter
    assert not breaker.open
    deferred = Outcome(kind=K.DEFERRED, code=451)
    assert [breaker.heard(deferred, NOW) for _ in range(5)] == [False] * 4 + [True]


def test_a_429_without_a_time_pauses_the_account_once_however_many_hear_it() -> None:
    """F28: those in flight all hear the same answer."""
    breaker = Breaker()
    for _ in range(10):
        breaker.heard(Outcome(kind=K.THROTTLED, code=429), NOW)
    assert breaker.retry_at(NOW) == NOW + 30 * SECOND


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
