"""One table from signal to Outcome (docs/channels.md shows it), shared by every adapter.

Read top down, the first row that fits decides. A signal no row names is never taken for a success.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from outbound.domain.outcome import Outcome, OutcomeKind

K = OutcomeKind

HARD_BOUNCE = "bounced.hard"
OPTED_OUT = "opted_out"


class Stage(StrEnum):
    """Where in an exchange a signal came. After ``SENT`` the provider may have the message, before it cannot.

    SMTP: ``SENT`` begins with the final dot. HTTP: with the first byte of the request.
    """

    CONNECT = "connect"
    TLS = "tls"
    HELLO = "hello"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    SENT = "sent"


S = Stage

_OPENING = frozenset({S.CONNECT, S.TLS, S.HELLO})
_BEFORE_SENT = frozenset(Stage) - {S.SENT}
_TRANSACTION = frozenset({S.MAIL, S.RCPT, S.DATA, S.BODY, S.SENT})
_NAMED = frozenset({S.RCPT, S.DATA, S.BODY, S.SENT})
"""Stages in which the recipient is known to the server: only there can an answer be about the recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table. ``code`` and ``detail`` are whole-match patterns; ``why`` names the source of the rule."""

    kind: OutcomeKind
    why: str
    code: str = ".*"
    detail: str = ".*"
    stages: frozenset[Stage] = frozenset(Stage)
    suppress: str = ""
    account_fault: bool = False

    def fits(self, code: str, detail: str, stage: Stage) -> bool:
        """Whether this line speaks about the signal."""
        return (
            stage in self.stages
            and re.fullmatch(self.code, code, re.DOTALL) is not None
            and re.fullmatch(self.detail, detail, re.DOTALL) is not None
        )


SMTP: tuple[Row, ...] = (
    Row(kind=K.ACCEPTED, code="2..", stages=frozenset({S.SENT}), why="RFC 5321 4.2.1: the first digit decides"),
    # Nothing usable came back: code is empty, or not one that can be an answer here.
    Row(kind=K.UNCERTAIN, code="(?![45]..).*", stages=frozenset({S.SENT}), why="delivery 2.5: after the dot"),
    Row(kind=K.NOT_SENT, code="(?![45]..).*", stages=_BEFORE_SENT, why="delivery 2.5: before the dot"),
    # About the account or the connection, not about this message.
    Row(kind=K.NOT_SENT, code="5..", stages=frozenset({S.AUTH}), account_fault=True, why="RFC 4954 6"),
    Row(kind=K.NOT_SENT, code="530|534|535|538", stages=_BEFORE_SENT, account_fault=True, why="RFC 4954 6"),
    Row(kind=K.NOT_SENT, code="5..", detail=r"5\.7\.(8|9|11)", stages=_BEFORE_SENT, account_fault=True, why="RFC 4954"),
    Row(kind=K.NOT_SENT, stages=_OPENING | {S.AUTH}, why="F19: no message was named yet, the breaker counts it"),
    # Temporary.
    Row(kind=K.THROTTLED, code="4..", detail=r"4\.7\..+", stages=_TRANSACTION, why="RFC 3463 3.8, policy or rate"),
    Row(kind=K.DEFERRED, code="4..", stages=_TRANSACTION, why="RFC 5321 4.5.4.1"),
    Row(kind=K.DEFERRED, code="5..", detail=r"5\.2\.[12]", stages=_NAMED, why="delivery 2.5: mailbox off or full"),
    # Final, most telling first: the enhanced status says more than the reply code.
    Row(
        kind=K.REJECTED_RECIPIENT,
        code="5..",
        detail=r"5\.1\.(1|6|10)",
        stages=_NAMED,
        suppress=HARD_BOUNCE,
        why="RFC 3463 3.2, RFC 7505: no such mailbox, moved, null MX",
    ),
    Row(kind=K.REJECTED_SENDER, code="5..", detail=r"5\.1\.[78]", why="RFC 3463 3.2: sender address"),
    Row(kind=K.REJECTED_CONTENT, code="5..", detail=r"5\.3\.4|5\.6\..+", why="RFC 3463 3.4, 3.7: too big, media"),
    Row(kind=K.REJECTED_POLICY, code="5..", detail=r"5\.7\..+", why="RFC 3463 3.8: the message fails, not the address"),
    Row(kind=K.REJECTED_CONTENT, code="552|501", why="RFC 5321 4.2.3: size, address syntax"),
    Row(kind=K.REJECTED_POLICY, code="5..", why="delivery 2.5: other 5xx, never a suppression"),
)
"""``code`` is the reply code, ``detail`` the RFC 3463 status in the reply code's class (450 5.1.1 counts as 4.1.1)."""

TWILIO: tuple[Row, ...] = (
    # No answer: what matters is whether the request had begun.
    Row(kind=K.UNCERTAIN, code="", stages=frozenset({S.SENT}), why="delivery 2.5: POST has no idempotency key"),
    Row(kind=K.NOT_SENT, code="", stages=_BEFORE_SENT, why="refused, DNS, TLS: nothing left"),
    # Twilio's own error number says more than the status.
    Row(kind=K.REJECTED_RECIPIENT, detail="21610", suppress=OPTED_OUT, why="recipient answered STOP"),
    Row(kind=K.REJECTED_RECIPIENT, detail="21211|21614", suppress=HARD_BOUNCE, why="not a number, not a mobile"),
    Row(kind=K.THROTTLED, detail="20429|14107|63038", why="rate or daily limit of the account"),
    Row(kind=K.NOT_SENT, detail="20003|20005|20008|30002|90010", account_fault=True, why="credentials, suspended"),
    Row(kind=K.REJECTED_SENDER, detail="21212|21603|21606|21611|21659|2170[1-5]", why="From or Messaging Service"),
    Row(kind=K.REJECTED_CONTENT, detail="21602|21605|21617|21619|30044", why="empty or too long"),
    # The status alone.
    Row(kind=K.THROTTLED, code="429", why="RFC 6585 4"),
    Row(kind=K.NOT_SENT, code="401|403|404", account_fault=True, why="404: no such account"),
    Row(kind=K.DEFERRED, code="408|503", why="RFC 9110 15.5.9, 15.6.4: the request was not acted on"),
    Row(kind=K.NOT_SENT, code="3..", why="a redirect creates nothing and is never followed"),
    Row(kind=K.REJECTED_POLICY, code="4..", why="RFC 9110 15.5: the request was understood and refused"),
    Row(kind=K.UNCERTAIN, why="500, 502, 504, anything else: the message may exist behind it"),
)
"""``code`` is the HTTP status, ``detail`` Twilio's error number. A 201 with a sid is read before the table."""

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_ADDRESS = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+")
_NUMBER = re.compile(r"(?<![\w.])\+?\d[\d \-]{6,}\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TEXT_LIMIT = 300


def smtp_outcome(
    *, code: int | None, text: str, stage: Stage, secrets: Iterable[str] = (), provider_ref: str = ""
) -> Outcome:
    """What an SMTP reply (or None: no usable reply) at ``stage`` means.

    ``secrets`` are words that must not survive in the outcome's text: the address, the credentials.
    """
    enhanced = enhanced_status(text)
    row = _smtp_row(code, enhanced, stage)
    return Outcome(
        kind=row.kind,
        code=code,
        enhanced=enhanced,
        text=redact(text, secrets),
        suppress=row.suppress,
        account_fault=row.account_fault,
        provider_ref=provider_ref,
        named=row.kind is K.NOT_SENT and stage in _NAMED,
    )


def twilio_outcome(
    *,
    status: int | None,
    error: str,
    text: str,
    stage: Stage = Stage.SENT,
    retry_after: float | None = None,
    secrets: Iterable[str] = (),
) -> Outcome:
    """What an HTTP answer of Twilio (or None: no answer) means. ``retry_after`` is in seconds."""
    row = _first(TWILIO, "" if status is None else str(status), error, stage)
    return Outcome(
        kind=row.kind,
        code=status,
        enhanced=error,
        text=redact(text, secrets),
        retry_after=retry_after,
        suppress=row.suppress,
        account_fault=row.account_fault,
    )


def enhanced_status(text: str) -> str:
    """The RFC 3463 status an SMTP reply begins with, or an empty string."""
    found = _ENHANCED.match(text)
    return f"{found[1]}.{int(found[2])}.{int(found[3])}" if found else ""


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """A provider's words without addresses, long numbers, control characters or ``secrets``; one short line."""
    folded = text.casefold()
    found = [secret for secret in secrets if secret and secret.casefold() in folded]
    for secret in sorted(found, key=len, reverse=True):  # compiling a pattern for each message costs 150 µs
        text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
    text = _NUMBER.sub("<number>", _ADDRESS.sub("<address>", text))
    return _CONTROL.sub(" ", text).strip()[:_TEXT_LIMIT]


@lru_cache(maxsize=1024)
def _smtp_row(code: int | None, enhanced: str, stage: Stage) -> Row:
    """The table is read once for each answer there is: nearly all are the same."""
    detail = f"{code // 100}.{enhanced.partition('.')[2]}" if code and enhanced else ""
    return _first(SMTP, "" if code is None else str(code), detail, stage)


def _first(table: tuple[Row, ...], code: str, detail: str, stage: Stage) -> Row:
    return next(row for row in table if row.fits(code, detail, stage))
