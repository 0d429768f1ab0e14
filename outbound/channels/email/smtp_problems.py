"""What the problems of a connection mean: each becomes an outcome that knows its stage."""

import socket
import ssl
from collections.abc import Sequence

import aiosmtplib

from outbound.channels.email.smtp_wire import UnreadableError
from outbound.channels.outcomes import Stage, smtp_outcome
from outbound.domain.outcome import Outcome

PROBLEMS = (aiosmtplib.SMTPException, OSError, ValueError, UnreadableError)
"""What opening and using a connection may raise; TimeoutError is an OSError."""


class Refusal(Exception):  # noqa: N818 - carries an outcome up one floor, it is no error
    """The connection cannot be used; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.kind)
        self.outcome = outcome


def tls_problem(problem: BaseException) -> ssl.SSLError | None:
    """The TLS error in or behind ``problem``."""
    return next((p for p in (problem, problem.__cause__) if isinstance(p, ssl.SSLError)), None)


def failure(problem: Exception, stage: Stage, secrets: Sequence[str]) -> Outcome:
    """The outcome of an exchange that ended without a reply of its own."""
    cause = problem.__cause__ or problem
    if isinstance(problem, aiosmtplib.SMTPResponseException) and 400 <= problem.code < 600:  # noqa: PLR2004
        return smtp_outcome(code=problem.code, text=problem.message, stage=stage, secrets=secrets)
    if (tls := tls_problem(problem)) is not None:
        text = f"tls: {getattr(tls, 'verify_message', '') or tls.reason or 'handshake failed'}"
    elif isinstance(problem, TimeoutError | aiosmtplib.SMTPTimeoutError):
        text = f"no answer in time {_where(stage)}"
    elif isinstance(problem, aiosmtplib.SMTPResponseException | UnreadableError):
        text = f"answer {_where(stage)} was not SMTP"
    elif isinstance(cause, socket.gaierror):
        text = f"host name not resolved: {cause.strerror}"
    elif isinstance(cause, ConnectionRefusedError):
        text = "connection refused"
    else:
        text = f"connection lost {_where(stage)}"
    return smtp_outcome(code=None, text=text, stage=stage, secrets=secrets)


def local(text: str, stage: Stage) -> Outcome:
    """An outcome decided here, without the server."""
    return smtp_outcome(code=None, text=text, stage=stage)


def _where(stage: Stage) -> str:
    return "after the final dot" if stage is Stage.SENT else f"at {stage}"
