"""SendGrid: the Event Webhook (signed with ECDSA), and mail that came in through Inbound Parse (HTTP Basic).

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from outbound.channels.mail_in.bounce_kinds import bounce_kind
from outbound.channels.mail_in.mail import Mail, html_text
from outbound.channels.mail_in.reading import message
from outbound.channels.webhooks.base import MalformedError, News, Refusal, Request, has_password, is_stale
from outbound.channels.webhooks.bodies import (
    Form,
    decoded,
    enclosed_text,
    first,
    form_body,
    instant,
    json_body,
    json_object,
    json_text,
    text_of,
)
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason
from outbound.domain.errors import ConfigurationError

K = DeliveryKind
R = RejectReason

_KINDS = {
    "processed": K.QUEUED,
    "deferred": K.DEFERRED,
    "delivered": K.DELIVERED,
    "bounce": K.BOUNCED,
    "blocked": K.BOUNCED,
    "dropped": K.REJECTED,
    "spamreport": K.COMPLAINED,
    "open": K.OPENED,
    "click": K.CLICKED,
    "unsubscribe": K.UNSUBSCRIBED,
    "group_unsubscribe": K.UNSUBSCRIBED,
    "group_resubscribe": K.SUBSCRIBED,
}
_REASONS: Mapping[str, tuple[RejectReason, BounceKind]] = {
    "invalid": (R.INVALID, BounceKind.HARD),
    "invalid smtpapi header": (R.OTHER, BounceKind.SENDER),
    "unsubscribed address": (R.UNSUBSCRIBED, BounceKind.POLICY),
    "bounced address": (R.BOUNCED, BounceKind.POLICY),  # SendGrid's own list: it does not say why it bounced then
    "bounce": (R.BOUNCED, BounceKind.POLICY),
    "blocked": (R.BLOCKED, BounceKind.POLICY),
    "expired": (R.TIMED_OUT, BounceKind.SOFT),
    "spam reporting address": (R.SPAM, BounceKind.POLICY),
    "spam content": (R.SPAM, BounceKind.SENDER),
}
_OWN = frozenset(
    {
        *("anymail_id", "asm_group_id", "attempt", "bounce_classification", "category", "cert_err", "email", "event"),
        *("ip", "marketing_campaign_id", "marketing_campaign_name", "newsletter", "nlvx_campaign_id"),
        *("nlvx_campaign_split_id", "nlvx_user_id", "pool", "post_type", "reason", "response", "send_at"),
        *("sg_content_type", "sg_event_id", "sg_machine_open", "sg_message_id", "sg_template_id", "sg_template_name"),
        *("smtp-id", "status", "timestamp", "tls", "type", "url", "url_offset", "useragent"),
    }
)
"""SendGrid's own fields; what else is in an event was given with the mail."""

_MOST = 10_000


class SendGridWebhook:
    """One SendGrid account. ``public_key`` as its settings show it (base64); ``passwords`` for Inbound Parse.

    Raises ConfigurationError for a key that is none.
    """

    name = "sendgrid"

    def __init__(self, *, public_key: str, passwords: tuple[str, ...] = ()) -> None:
        self._passwords = passwords
        self._key: Any = _load(public_key) if public_key else None

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:
        """ECDSA with SHA-256 over the time and the body as they arrived; a form is mail, and has a password."""
        if request.content_type != "application/json":
            return has_password(request, self._passwords)
        given = request.headers.get("x-twilio-email-event-webhook-signature", "")
        stamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        if not given or not stamp or self._key is None:
            return Refusal.UNSIGNED
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - slow to load
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        try:
            signature = base64.b64decode(given, validate=True)
            self._key.verify(signature, stamp.encode() + request.body, ECDSA(SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            return Refusal.FORGED
        return Refusal.STALE if is_stale(instant(stamp), now) else None

    def key(self, request: Request) -> str:  # noqa: ARG002 - a request carries many events, grouped anew when repeated
        """None: each event in it has its own id."""
        return ""

    def parse(self, request: Request) -> tuple[News, ...]:
        """A list of events, or one mail."""
        if request.content_type != "application/json":
            return (_mail(request),)
        events = json_body(request)
        if not isinstance(events, list) or len(events) > _MOST:
            raise MalformedError("not a list of events")
        return tuple(_event(json_object(one)) for one in events)


def _load(public_key: str) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey  # noqa: PLC0415 - slow to load
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    remedy = "copy the verification key that SendGrid shows under Mail Settings, Signed Event Webhook"
    try:
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
    except (binascii.Error, ValueError, TypeError):
        raise ConfigurationError("the verification key of SendGrid cannot be read", remedy) from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ConfigurationError("the verification key of SendGrid is not of an elliptic curve", remedy)
    return key


def _event(news: Mapping[str, Any]) -> News:
    word = text_of(news.get("event"))
    kind = _KINDS.get(word, K.UNKNOWN)
    said = text_of(news.get("type") or news.get("reason")).lower()
    reason, bounce, response = None, None, text_of(news.get("response") or news.get("reason"))
    if kind is K.REJECTED:
        reason, bounce = _REASONS.get(said, (R.OTHER, BounceKind.POLICY))
        response = ""
    elif kind is K.BOUNCED:
        status, blocked = text_of(news.get("status")), word == "blocked" or said == "blocked"
        bounce = BounceKind.POLICY if blocked else bounce_kind(status=status, text=response)
    category = news.get("category", [])
    return DeliveryEvent(
        provider="sendgrid",
        kind=kind,
        event_id=text_of(news.get("sg_event_id")),
        reference=text_of(news.get("anymail_id") or news.get("smtp-id")),
        recipient=text_of(news.get("email")),
        at=instant(news.get("timestamp")),
        bounce=bounce,
        reason=reason,
        code=text_of(news.get("status")),
        response=response,
        url=text_of(news.get("url")),
        user_agent=text_of(news.get("useragent")),
        tags=tuple(text_of(one) for one in category) if isinstance(category, list) else (text_of(category),),
        metadata={name: value for name, value in news.items() if name not in _OWN},
    )


def _mail(request: Request) -> News:
    """Inbound Parse: the mail whole (``email``), or taken apart, with the charset of each part beside it."""
    form = form_body(request)
    try:
        envelope = json_object(json_text(first(form, "envelope") or "{}"))
        charsets = json_object(json_text(first(form, "charsets") or "{}"))
    except MalformedError:
        envelope, charsets = {}, {}
    reached = envelope.get("to")
    pair = (text_of(envelope.get("from")), text_of(reached[0]) if isinstance(reached, list) and reached else "")
    if "email" in form:
        return message(Mail.read(form["email"][0]), provider="sendgrid", key="", envelope=pair)
    head = Mail.read((form.get("headers") or (b"",))[0].strip() + b"\r\n\r\n")
    read = message(head, provider="sendgrid", key="", envelope=pair)
    return replace(
        read,
        text=_field(form, "text", charsets) or html_text(_field(form, "html", charsets)) or enclosed_text(request),
        subject=read.subject or _field(form, "subject", charsets),
        sender=read.sender or next(iter(Mail.read(b"From: " + (form.get("from") or (b"",))[0]).addresses("From")), ""),
    )


def _field(form: Form, name: str, charsets: Mapping[str, Any]) -> str:
    values = form.get(name) or (b"",)
    return decoded(values[0], text_of(charsets.get(name)) or "utf-8")
