"""Twilio: status callbacks of texts that were sent, and texts that came in.

https://www.twilio.com/docs/usage/webhooks/webhooks-security,
https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from outbound.channels.webhooks.base import News, Refusal, Request
from outbound.channels.webhooks.bodies import Form, first, form_body
from outbound.domain.customer import ChannelName
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason
from outbound.domain.incoming import IncomingMessage

K = DeliveryKind

REFERENCE = "ref"
"""The parameter of a status callback that carries our reference: Twilio signs the whole address."""

_STATUSES = {
    "accepted": K.QUEUED,
    "scheduled": K.QUEUED,
    "queued": K.QUEUED,
    "sending": K.QUEUED,
    "sent": K.SENT,
    "delivered": K.DELIVERED,
    "read": K.OPENED,
    "undelivered": K.BOUNCED,
    "failed": K.BOUNCED,
    "canceled": K.REJECTED,
}
_ERRORS = {
    # https://www.twilio.com/docs/api/errors: the number is none, or no phone that takes texts
    "21211": BounceKind.HARD,
    "21614": BounceKind.HARD,
    "30005": BounceKind.HARD,
    "30006": BounceKind.HARD,
    # switched off, out of reach, or nobody knows
    "30003": BounceKind.SOFT,
    "30008": BounceKind.SOFT,
    "30010": BounceKind.SOFT,
    # our account, sender, registration or price
    "30001": BounceKind.SENDER,
    "30002": BounceKind.SENDER,
    "30009": BounceKind.SENDER,
    "30022": BounceKind.SENDER,
    "30023": BounceKind.SENDER,
    "30034": BounceKind.SENDER,
    "30035": BounceKind.SENDER,
}
"""Anything else (30004 blocked, 30007 filtered, 21610 opted out) is policy: the text failed, not the number."""

_OPTED_OUT = "21610"
_REFERENCE = re.compile(r"[0-9a-f]{32}\.\d{1,3}")


class TwilioWebhook:
    """One Twilio account. ``auth_token`` signs; a request of another account is refused."""

    name = "twilio"

    def __init__(self, *, account_sid: str, auth_token: str) -> None:
        self._account_sid = account_sid.encode()
        self._auth_token = auth_token.encode()

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:  # noqa: ARG002 - Twilio signs no time
        """X-Twilio-Signature: HMAC-SHA1 over the address we were called by and the sorted fields of the form.

        Of a JSON body the address carries the hash, and nothing follows it. A field that is repeated counts once for
        each of its values.
        """
        given = request.headers.get("x-twilio-signature", "")
        if not given:
            return Refusal.UNSIGNED
        signed = b""
        urls = request.urls
        if request.content_type == "application/json":
            digest = hashlib.sha256(request.body).hexdigest()
            urls = tuple(url for url in urls if hmac.compare_digest(_body_hash(url), digest))
        else:
            form = form_body(request)
            if form.get("AccountSid", (self._account_sid,)) != (self._account_sid,):
                return Refusal.ACCOUNT
            signed = b"".join(name.encode() + value for name in sorted(form) for value in sorted(set(form[name])))
        for url in urls:
            made = base64.b64encode(hmac.digest(self._auth_token, url.encode() + signed, "sha1"))
            if hmac.compare_digest(made, given.encode()):
                return None
        return Refusal.FORGED

    def key(self, request: Request) -> str:
        """A message has one sid; its statuses are told one request each."""
        form = form_body(request)
        sid, status = first(form, "MessageSid", "SmsSid"), first(form, "MessageStatus", "SmsStatus")
        return f"{sid}/{status}" if sid else ""

    def parse(self, request: Request) -> tuple[News, ...]:
        """A status, or a text that came in."""
        form = form_body(request)
        sid = first(form, "MessageSid", "SmsSid")
        status = first(form, "MessageStatus", "SmsStatus").lower()
        if "Body" in form and status in ("", "received", "receiving"):
            return (
                IncomingMessage(
                    provider=self.name,
                    channel=ChannelName.SMS,
                    sender=first(form, "From"),
                    text=first(form, "Body")[:10_000],
                    key=sid,
                    recipient=first(form, "To"),
                    details={name: said for name, said in _extras(form).items() if said},
                ),
            )
        code = first(form, "ErrorCode")
        kind = _STATUSES.get(status, K.UNKNOWN)
        return (
            DeliveryEvent(
                provider=self.name,
                kind=kind,
                event_id=sid,
                key=f"{sid}/{status}",
                reference=sid,
                ours=_ours(request),
                recipient=first(form, "To"),
                bounce=_ERRORS.get(code, BounceKind.POLICY) if kind is K.BOUNCED else None,
                reason=RejectReason.UNSUBSCRIBED if code == _OPTED_OUT else None,
                code=code,
                description=first(form, "ErrorMessage")[:300],
            ),
        )


def _extras(form: Form) -> dict[str, str]:
    """What the provider understood of a text, and how many pictures came with it."""
    return {"opt_out_type": first(form, "OptOutType"), "media": first(form, "NumMedia").strip("0")}


def _body_hash(url: str) -> str:
    return next(iter(parse_qs(urlsplit(url).query).get("bodySHA256", [])), "").lower()


def _ours(request: Request) -> str:
    query = parse_qs(urlsplit(request.urls[0]).query) if request.urls else {}
    reference = next(iter(query.get(REFERENCE, [])), "")
    return reference if _REFERENCE.fullmatch(reference) else ""
