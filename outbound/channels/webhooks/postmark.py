"""Postmark: deliveries, bounces, complaints, opens, clicks, changes of subscription, and mail that came in.

https://postmarkapp.com/developer/webhooks/webhooks-overview. Postmark signs nothing: the webhook's address carries a
name and password (HTTP Basic), over https.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from email.message import Message
from typing import Any

from outbound.channels.mail_in.mail import Mail, html_text
from outbound.channels.mail_in.reading import envelope_sender, message
from outbound.channels.webhooks.base import News, Refusal, Request, has_password
from outbound.channels.webhooks.bodies import iso_instant, json_body, json_object, text_of
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason

K = DeliveryKind
R = RejectReason
B = BounceKind

_RECORDS = {
    "Delivery": K.DELIVERED,
    "Open": K.OPENED,
    "Click": K.CLICKED,
    "Bounce": K.BOUNCED,
    "SpamComplaint": K.COMPLAINED,
}

_TYPES: Mapping[str, tuple[DeliveryKind, RejectReason | None, BounceKind | None]] = {
    # https://postmarkapp.com/developer/api/bounce-api#bounce-types
    "HardBounce": (K.BOUNCED, R.BOUNCED, B.HARD),
    "SoftBounce": (K.BOUNCED, R.BOUNCED, B.SOFT),
    "Transient": (K.DEFERRED, None, None),
    "DnsError": (K.DEFERRED, None, None),
    "OpenRelayTest": (K.DEFERRED, None, None),
    "Unsubscribe": (K.UNSUBSCRIBED, R.UNSUBSCRIBED, None),
    "ManualSuppression": (K.UNSUBSCRIBED, R.UNSUBSCRIBED, None),
    "Subscribe": (K.SUBSCRIBED, None, None),
    "AutoResponder": (K.AUTORESPONDED, None, None),
    "AddressChange": (K.AUTORESPONDED, None, None),
    "ChallengeVerification": (K.AUTORESPONDED, None, None),
    "SpamNotification": (K.COMPLAINED, R.SPAM, None),
    "SpamComplaint": (K.COMPLAINED, R.SPAM, None),
    "VirusNotification": (K.BOUNCED, R.OTHER, B.SENDER),
    "BadEmailAddress": (K.REJECTED, R.INVALID, B.HARD),
    "ManuallyDeactivated": (K.REJECTED, R.BLOCKED, B.POLICY),
    "Unconfirmed": (K.REJECTED, None, B.SENDER),
    "Blocked": (K.REJECTED, R.BLOCKED, B.POLICY),
    "DMARCPolicy": (K.REJECTED, R.BLOCKED, B.SENDER),
    "SMTPApiError": (K.FAILED, None, B.SENDER),
    "TemplateRenderingFailed": (K.FAILED, None, B.SENDER),
}
_OF_MAIL = frozenset({"FromFull", "RawEmail", "TextBody", "HtmlBody", "Attachments"})
_TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")


class PostmarkWebhook:
    """One Postmark server. ``passwords`` are ``name:secret``, several while one is replaced."""

    name = "postmark"

    def __init__(self, *, passwords: tuple[str, ...]) -> None:
        self._passwords = passwords

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:  # noqa: ARG002 - nothing is dated
        """HTTP Basic."""
        return has_password(request, self._passwords)

    def key(self, request: Request) -> str:
        """Only bounces have an id of their own, and mail that came in."""
        news = json_object(json_body(request))
        if "RecordType" in news:
            return f"bounce/{text_of(news.get('ID'))}/{text_of(news.get('RecordType'))}" if news.get("ID") else ""
        return f"mail/{text_of(news.get('MessageID'))}" if news.get("MessageID") else ""

    def parse(self, request: Request) -> tuple[News, ...]:
        """One piece of news a request."""
        news = json_object(json_body(request))
        record = text_of(news.get("RecordType"))
        if record == "Inbound" or (not record and not _OF_MAIL.isdisjoint(news)):
            return (_mail(news),)
        kind, reason, bounce = _kind(news, record)
        return (
            DeliveryEvent(
                provider=self.name,
                kind=kind,
                event_id=text_of(news.get("ID")),
                key=self.key(request),
                reference=text_of(news.get("MessageID")),
                recipient=text_of(news.get("Email") or news.get("Recipient")),
                at=next((at for name in _TIMES if (at := iso_instant(news.get(name)))), None),
                bounce=bounce,
                reason=reason,
                description=text_of(news.get("Description")),
                response=text_of(news.get("Details")),
                url=text_of(news.get("OriginalLink")),
                user_agent=text_of(news.get("UserAgent")),
                tags=(text_of(news["Tag"]),) if "Tag" in news else (),
                metadata=json_object(news.get("Metadata")),
            ),
        )


def _kind(news: Mapping[str, Any], record: str) -> tuple[DeliveryKind, RejectReason | None, BounceKind | None]:
    if record == "SubscriptionChange":
        wanted = text_of(news.get("SuppressionReason")) if news.get("SuppressSending") else "Subscribe"
        return _TYPES.get(wanted, (K.UNSUBSCRIBED, None, None))
    kind = _RECORDS.get(record, K.UNKNOWN)
    if kind in (K.BOUNCED, K.COMPLAINED):
        return _TYPES.get(text_of(news.get("Type")), (kind, None, B.POLICY if kind is K.BOUNCED else None))
    return kind, None, None


def _mail(news: Mapping[str, Any]) -> News:
    """Postmark takes a mail apart; its original stands beside only where it was asked for."""
    raw = text_of(news.get("RawEmail"))
    head = Message()
    for header in news.get("Headers") or []:
        one = json_object(header)
        head[text_of(one.get("Name")) or "X-None"] = text_of(one.get("Value")).replace("\n", " ").replace("\r", " ")
    mail = Mail.read(raw.encode("utf-8", "surrogateescape")) if raw else Mail(head)
    sender = json_object(news.get("FromFull"))
    read = message(
        mail,
        provider="postmark",
        key=text_of(news.get("MessageID")),
        envelope=(envelope_sender(Mail(head)), text_of(news.get("OriginalRecipient"))),
        spam=Mail(head).header("X-Spam-Status").lower().startswith("yes"),
    )

    return replace(
        read,
        sender=text_of(sender.get("Email")) or read.sender,
        subject=read.subject or text_of(news.get("Subject")),
        text=read.text or text_of(news.get("TextBody")) or html_text(text_of(news.get("HtmlBody"))),
    )
