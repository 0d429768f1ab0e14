"""Complaints: the abuse reports of mailbox providers (ARF, RFC 5965)."""

from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32

from outbound.channels.mail_in.mail import Mail, clean
from outbound.domain.delivery import DeliveryKind

_KINDS = {
    "abuse": DeliveryKind.COMPLAINED,
    "fraud": DeliveryKind.COMPLAINED,
    "virus": DeliveryKind.COMPLAINED,
    "other": DeliveryKind.COMPLAINED,
    "opt-out": DeliveryKind.UNSUBSCRIBED,
    "opt-out-list": DeliveryKind.UNSUBSCRIBED,
}
"""RFC 5965 7.3. What is no complaint (``not-spam``, RFC 6591 ``auth-failure``) is kept as unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One report. ``mail_from`` is the envelope sender of the mail complained about, as the reporter saw it."""

    kind: DeliveryKind
    recipient: str
    mail_from: str


def complaint(mail: Mail) -> Complaint | None:
    """The report in a mail, if there is one."""
    for part in mail.parts():
        if part.get_content_type() == "message/feedback-report":
            fields = _fields(part)
            kind = str(fields.get("Feedback-Type", "")).strip().lower()
            return Complaint(
                kind=_KINDS.get(kind, DeliveryKind.UNKNOWN),
                recipient=clean(str(fields.get("Original-Rcpt-To", "")).strip().strip("<>"))[:320],
                mail_from=clean(str(fields.get("Original-Mail-From", "")).strip().strip("<>"))[:320],
            )
    return None


def _fields(part: Message) -> Message:
    payload = part.get_payload()
    if isinstance(payload, list):
        return next((group for group in payload if isinstance(group, Message)), part)
    raw = part.get_payload(decode=True)
    return message_from_bytes(raw if isinstance(raw, bytes) else b"", policy=compat32)
