"""The one table from signal to outcome, row by row (delivery.md 2.5)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.channels import outcomes
from outbound.channels.outcomes import Stage, redact, smtp_outcome, twilio_outcome
from outbound.channels.retry_after import parse_retry_after
from outbound.domain.outcome import OutcomeKind as K

SMTP = [
    # stage, code, text, kind, suppress, account_fault
    (Stage.CONNECT, None, "", K.NOT_SENT, "", False),
    (Stage.TLS, None, "", K.NOT_SENT, "", False),
    (Stage.DATA, None, "", K.NOT_SENT, "", False),
    (Stage.BODY, None, "", K.NOT_SENT, "", False),
    (Stage.SENT, None, "", K.UNCERTAIN, "", False),
    (Stage.SENT, 354, "what", K.UNCERTAIN, "", False),
    (Stage.DATA, 250, "ok instead of 354", K.NOT_SENT, "", False),
    (Stage.CONNECT, 421, "4.3.2 busy", K.NOT_SENT, "", False),
    (Stage.CONNECT, 554, "5.7.1 your address is listed", K.NOT_SENT, "", False),
    (Stage.HELLO, 451, "4.3.0 later", K.NOT_SENT, "", False),
    (Stage.MAIL, 421, "4.3.2 closing", K.DEFERRED, "", False),
    (Stage.RCPT, 421, "closing", K.DEFERRED, "", False),
    (Stage.SENT, 421, "closing", K.DEFERRED, "", False),
    (Stage.RCPT, 450, "4.2.0 greylisted", K.DEFERRED, "", False),
    (Stage.RCPT, 451, "try again", K.DEFERRED, "", False),
    (Stage.RCPT, 452, "4.2.2 full", K.DEFERRED, "", False),
    (Stage.SENT, 451, "4.3.0 local error", K.DEFERRED, "", False),
    (Stage.RCPT, 450, "5.1.1 class of the code counts", K.DEFERRED, "", False),
    (Stage.RCPT, 450, "4.7.1 slow down", K.THROTTLED, "", False),
    (Stage.SENT, 421, "4.7.28 rate limit", K.THROTTLED, "", False),
    (Stage.RCPT, 550, "5.1.1 no such user", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.SENT, 550, "5.1.1 no such user", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.RCPT, 551, "5.1.6 moved", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.RCPT, 556, "5.1.10 null MX", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.MAIL, 550, "5.1.1 said of the sender", K.REJECTED_POLICY, "", False),
    (Stage.RCPT, 550, "5.2.1 disabled", K.DEFERRED, "", False),
    (Stage.RCPT, 552, "5.2.2 full", K.DEFERRED, "", False),
    (Stage.AUTH, 535, "5.7.8 wrong", K.NOT_SENT, "", True),
    (Stage.AUTH, 454, "4.7.0 temporary", K.NOT_SENT, "", False),
    (Stage.AUTH, None, "", K.NOT_SENT, "", False),
    (Stage.MAIL, 530, "5.7.0 authentication required", K.NOT_SENT, "", True),
    (Stage.MAIL, 550, "5.7.8 expired", K.NOT_SENT, "", True),
    (Stage.MAIL, 550, "5.7.1 not from here", K.REJECTED_POLICY, "", False),
    (Stage.RCPT, 550, "5.7.1 relay denied", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 550, "5.7.1 spam", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 550, "5.7.26 unauthenticated", K.REJECTED_POLICY, "", False),
    (Stage.MAIL, 553, "5.1.7 bad sender", K.REJECTED_SENDER, "", False),
    (Stage.MAIL, 501, "5.1.8 sender domain", K.REJECTED_SENDER, "", False),
    (Stage.SENT, 552, "too big", K.REJECTED_CONTENT, "", False),
    (Stage.MAIL, 552, "5.3.4 too big", K.REJECTED_CONTENT, "", False),
    (Stage.SENT, 554, "5.6.0 bad content", K.REJECTED_CONTENT, "", False),
    (Stage.RCPT, 553, "5.6.7 no SMTPUTF8", K.REJECTED_CONTENT, "", False),
    (Stage.RCPT, 501, "5.1.3 syntax", K.REJECTED_CONTENT, "", False),
    (Stage.RCPT, 550, "no such user, says an old server", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 554, "transaction failed", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 250, "2.0.0 ok", K.ACCEPTED, "", False),
]

TWILIO = [
    # stage, status, error, kind, suppress, account_fault
    (Stage.CONNECT, None, "", K.NOT_SENT, "", False),
    (Stage.SENT, None, "", K.UNCERTAIN, "", False),
    (Stage.SENT, 400, "21610", K.REJECTED_RECIPIENT, "opted_out", False),
    (Stage.SENT, 400, "21211", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.SENT, 400, "21614", K.REJECTED_RECIPIENT, "bounced.hard", False),
    (Stage.SENT, 429, "", K.THROTTLED, "", False),
    (Stage.SENT, 429, "20429", K.THROTTLED, "", False),
    (Stage.SENT, 400, "63038", K.THROTTLED, "", False),
    (Stage.SENT, 401, "20003", K.NOT_SENT, "", True),
    (Stage.SENT, 403, "", K.NOT_SENT, "", True),
    (Stage.SENT, 404, "20404", K.NOT_SENT, "", True),
    (Stage.SENT, 400, "20005", K.NOT_SENT, "", True),
    (Stage.SENT, 400, "21606", K.REJECTED_SENDER, "", False),
    (Stage.SENT, 400, "21703", K.REJECTED_SENDER, "", False),
    (Stage.SENT, 400, "21617", K.REJECTED_CONTENT, "", False),
    (Stage.SENT, 400, "21408", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 400, "", K.REJECTED_POLICY, "", False),
    (Stage.SENT, 307, "", K.NOT_SENT, "", False),
    (Stage.SENT, 408, "", K.DEFERRED, "", False),
    (Stage.SENT, 503, "20503", K.DEFERRED, "", False),
    (Stage.SENT, 500, "20500", K.UNCERTAIN, "", False),
    (Stage.SENT, 502, "", K.UNCERTAIN, "", False),
    (Stage.SENT, 504, "", K.UNCERTAIN, "", False),
    (Stage.SENT, 204, "", K.UNCERTAIN, "", False),
]


Line = tuple[Stage, int | None, str, K, str, bool]


@pytest.mark.parametrize("line", SMTP, ids=str)
def test_smtp_signal(line: Line) -> None:
    """Each SMTP signal means what the table says."""
    stage, code, text, kind, suppress, account_fault = line
    outcome = smtp_outcome(code=code, text=text, stage=stage)
    assert (outcome.kind, outcome.suppress, outcome.account_fault) == (kind, suppress, account_fault)
    assert outcome.code == code


@pytest.mark.parametrize("line", TWILIO, ids=str)
def test_twilio_signal(line: Line) -> None:
    """Each Twilio answer means what the table says."""
    stage, status, error, kind, suppress, account_fault = line
    outcome = twilio_outcome(status=status, error=error, text="", stage=stage)
    assert (outcome.kind, outcome.suppress, outcome.account_fault) == (kind, suppress, account_fault)


def test_every_row_of_both_tables_is_reached() -> None:
    """No row is dead: each is the first that fits one of the signals above."""
    reached = []
    for stage, code, text, *_ in SMTP:
        enhanced = outcomes.enhanced_status(text)
        detail = f"{code // 100}.{enhanced.partition('.')[2]}" if code and enhanced else ""
        reached.append(outcomes._first(outcomes.SMTP, "" if code is None else str(code), detail, stage))
    for stage, status, error, *_ in TWILIO:
        reached.append(outcomes._first(outcomes.TWILIO, "" if status is None else str(status), error, stage))
    missed = [row.why for row in (*outcomes.SMTP, *outcomes.TWILIO) if row not in reached]
    assert missed == []


@given(code=st.none() | st.integers(0, 999), text=st.text(), stage=st.sampled_from(Stage))
def test_no_smtp_signal_falls_through_or_claims_success_wrongly(code: int | None, text: str, stage: Stage) -> None:
    """Any signal has an outcome; only 2xx after the dot is a success, only signals after the dot are uncertain."""
    outcome = smtp_outcome(code=code, text=text, stage=stage)
    assert (outcome.kind is K.ACCEPTED) == (stage is Stage.SENT and code is not None and code // 100 == 2)
    assert outcome.kind is not K.UNCERTAIN or stage is Stage.SENT


@given(status=st.none() | st.integers(100, 599), error=st.text(max_size=6), stage=st.sampled_from(Stage))
def test_no_http_signal_falls_through(status: int | None, error: str, stage: Stage) -> None:
    """The table never claims success: an accepted text is recognised by its sid alone."""
    assert twilio_outcome(status=status, error=error, text="", stage=stage).kind is not K.ACCEPTED


def test_provider_words_lose_addresses_numbers_and_secrets() -> None:
    """I9: what a provider echoes does not carry a person or a credential into the record."""
    said = "5.1.1 <Mario.Rossi@Example.it> unknown\r\nsee +39 340 123 4567 and hunter2!\x00 MARIO.ROSSI"
    kept = redact(said, ["hunter2!", "mario.rossi"])
    for leak in ("Rossi", "ROSSI", "Example", "340", "hunter2", "\r", "\n", "\x00"):
        assert leak not in kept
    assert kept.startswith("5.1.1 ")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("Sun, 22 Nov 2026 09:31:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0.0),
        ("999999999", 86400.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_f28_retry_after_in_both_forms(value: str | None, seconds: float | None) -> None:
    """Seconds and HTTP dates are understood, nonsense is not, nothing waits longer than a day."""
    assert parse_retry_after(value, now=datetime(2026, 11, 22, 9, 30, tzinfo=UTC)) == seconds
