"""Mailgun: events (JSON, and the older form), and mail that came in through a route.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/. The signature covers a token and a time, not the
rest of the body: what it proves is that the sender knows the key, and https has to do the rest.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from outbound.channels.mail_in.bounce_kinds import bounce_kind
from outbound.channels.mail_in.mail import Mail, html_text
from outbound.channels.mail_in.reading import message
from outbound.channels.webhooks.base import MalformedError, News, Refusal, Request, is_stale
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
    last,
    text_of,
)
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason

K = DeliveryKind
R = RejectReason

_KINDS = {
    "accepted": K.QUEUED,
    "rejected": K.REJECTED,
    "delivered": K.DELIVERED,
    "failed": K.BOUNCED,
    "opened": K.OPENED,
    "clicked": K.CLICKED,
    "unsubscribed": K.UNSUBSCRIBED,
    "complained": K.COMPLAINED,
    # the older form
    "bounced": K.BOUNCED,
    "dropped": K.REJECTED,
}
_REASONS = {"bounce": R.BOUNCED, "suppress-bounce": R.BOUNCED, "suppress-complaint": R.SPAM}
_LEGACY_CODES = {499: R.TIMED_OUT, 605: R.BOUNCED, 607: R.SPAM}
_COMMON = frozenset(
    {
        *("event", "recipient", "domain", "ip", "country", "region", "city", "user-agent", "device-type"),
        *("client-type", "client-name", "client-os", "campaign-id", "campaign-name", "tag", "mailing-list"),
        *("timestamp", "token", "signature", "body-plain", "h", "message-id"),
    }
)
_ENGAGED = {"clicked": _COMMON | {"url"}, "opened": _COMMON, "unsubscribed": _COMMON}
_SIGNED = ("signature", "timestamp", "token")


class MailgunWebhook:
    """One Mailgun account; ``keys`` are its HTTP webhook signing keys, several while one is replaced."""

    name = "mailgun"

    def __init__(self, *, keys: tuple[str, ...]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:
        """HMAC-SHA256 over time and token."""
        if request.content_type == "application/json":
            block = json_object(json_object(json_body(request)).get("signature"))
            signature, stamp, token = (text_of(block.get(name)) for name in _SIGNED)
        else:
            # variables of a mail are merged into the form before Mailgun's own: its word is the last of a name
            form = form_body(request)
            signature, stamp, token = (last(form, name) for name in _SIGNED)
        if not signature or not token or not stamp:
            return Refusal.UNSIGNED
        made = [hmac.digest(key, f"{stamp}{token}".encode(), "sha256").hex().encode() for key in self._keys]
        if not any([hmac.compare_digest(signature.encode(), one) for one in made]):  # noqa: C419 - all of them, always
            return Refusal.FORGED
        return Refusal.STALE if is_stale(instant(stamp), now) else None

    def key(self, request: Request) -> str:
        """The event's id, "guaranteed to be unique within a day", with its time; else the token of the request."""
        if request.content_type == "application/json":
            body = json_object(json_body(request))
            event = json_object(body.get("event-data"))
            if event.get("id"):
                return f"{text_of(event['id'])}@{text_of(event.get('timestamp'))}"
            return text_of(json_object(body.get("signature")).get("token"))
        return last(form_body(request), "token")

    def parse(self, request: Request) -> tuple[News, ...]:
        """One event or mail a request."""
        if request.content_type == "application/json":
            body = json_object(json_body(request))
            token = text_of(json_object(body.get("signature")).get("token"))
            return (_event(json_object(body.get("event-data")), token, self.key(request)),)
        form = form_body(request)
        return (_legacy(form),) if "event" in form else (_mail(request, form),)


def _event(data: Mapping[str, Any], token: str, key: str) -> News:
    kind = _KINDS.get(text_of(data.get("event")), K.UNKNOWN)
    if kind is K.BOUNCED and text_of(data.get("severity")) == "temporary":
        kind = K.DEFERRED
    status = json_object(data.get("delivery-status"))
    headers = json_object(json_object(data.get("message")).get("headers"))
    response = text_of(status.get("message"))
    code = text_of(status.get("enhanced-code")) or text_of(status.get("code"))
    why = text_of(data.get("reason"))
    reason = _REASONS.get(why, R.OTHER) if "reason" in data else None
    recipient, description = text_of(data.get("recipient")), text_of(status.get("description"))
    bounce: BounceKind | None = None
    if kind is K.BOUNCED:
        bounce = _bounce(why, code, f"{response} {description}")
    elif kind is K.REJECTED:
        description = description or text_of(json_object(data.get("reject")).get("reason"))
        reason, bounce = reason or R.OTHER, BounceKind.SENDER
        recipient = recipient or _first_address(text_of(headers.get("to")))
    return DeliveryEvent(
        provider="mailgun",
        kind=kind,
        event_id=token,
        key=key,
        reference=_bracketed(text_of(headers.get("message-id"))),
        recipient=recipient,
        at=instant(data.get("timestamp")),
        bounce=bounce,
        reason=reason,
        code=code,
        description=description,
        response=response,
        url=text_of(data.get("url")),
        user_agent=text_of(json_object(data.get("client-info")).get("user-agent")),
        tags=_texts(data.get("tags")),
        metadata=json_object(data.get("user-variables")),
    )


def _bounce(why: str, code: str, words: str) -> BounceKind:
    """``suppress-...`` comes of Mailgun's own list and says nothing new: only a bounce with its status is hard."""
    if why.startswith("suppress"):
        return BounceKind.POLICY
    number = int(code) if code.isdigit() else None
    return bounce_kind(status="" if number else code, text=words, code=number)


def _legacy(form: Form) -> News:
    """The form of before 2018: variables of the mail are merged into it, so the first value of a name is Mailgun's."""
    word = first(form, "event")
    kind = _KINDS.get(word, K.UNKNOWN)
    response, description = first(form, "error", "notification"), first(form, "description")
    code = first(form, "code")
    reason = _legacy_reason(code)
    bounce: BounceKind | None = None
    if kind is K.BOUNCED:
        bounce = _bounce("", code, f"{response} {description}")
    elif kind is K.REJECTED:
        bounce = BounceKind.SOFT if reason is R.TIMED_OUT else BounceKind.POLICY
    return DeliveryEvent(
        provider="mailgun",
        kind=kind,
        event_id=last(form, "token"),
        reference=_bracketed(first(form, "Message-Id", "message-id")),
        recipient=first(form, "recipient"),
        at=instant(last(form, "timestamp")),
        bounce=bounce,
        reason=reason,
        code=code,
        description=description,
        response=response,
        url=first(form, "url"),
        user_agent=first(form, "user-agent"),
        tags=tuple(decoded(one) for one in form.get("tag") or form.get("X-Mailgun-Tag") or ()),
        metadata=_legacy_metadata(form, word),
    )


def _legacy_reason(code: str) -> RejectReason | None:
    if not code:
        return None
    if code.isdigit():
        final = 400 <= int(code) < 600  # noqa: PLR2004 - SMTP
        return _LEGACY_CODES.get(int(code), R.BOUNCED if final else R.OTHER)
    return R.BOUNCED if code.partition(".")[0] in ("4", "5") else R.OTHER


def _legacy_metadata(form: Form, word: str) -> dict[str, object]:
    if "message-headers" in form:
        found: dict[str, object] = {}
        for name, value in _headers(form):
            if name == "X-Mailgun-Variables":
                try:
                    found |= json_object(json.loads(value))
                except (ValueError, RecursionError):
                    continue
        return found
    known = _ENGAGED.get(word)
    if known is None:
        return {}
    metadata: dict[str, object] = {}
    for name, values in form.items():
        if name not in known:
            metadata[name] = decoded(values[-1])
        elif name != "tag" and len(values) > 1:  # one value is Mailgun's; of what it signs, that is the last
            metadata[name] = decoded(values[0] if name in _SIGNED else values[-1])
    return metadata


def _headers(form: Form) -> list[tuple[str, str]]:
    try:
        pairs = json_text(last(form, "message-headers") or "[]")
    except MalformedError:
        return []
    listed = pairs if isinstance(pairs, list) else []
    pair = 2
    return [(text_of(one[0]), text_of(one[1])) for one in listed if isinstance(one, list) and len(one) == pair]


def _mail(request: Request, form: Form) -> News:
    """A mail that a route forwarded: whole (``body-mime``), or taken apart."""
    pair = (first(form, "sender"), first(form, "recipient"))
    token = last(form, "token")
    whole = "body-mime" in form
    mail = Mail.read(form["body-mime"][0]) if whole else _head(form)
    spam = (mail.header("X-Mailgun-Sflag") or first(form, "X-Mailgun-Sflag") or "no").lower() == "yes"
    read = message(mail, provider="mailgun", key=token, envelope=pair, spam=spam)
    if whole:
        return read
    return replace(
        read,
        text=first(form, "body-plain") or html_text(first(form, "body-html")) or enclosed_text(request),
        subject=read.subject or first(form, "subject"),
        sender=read.sender or _first_address(first(form, "from")),
        at=read.at or instant(last(form, "timestamp")),
    )


def _head(form: Form) -> Mail:
    mail = Mail.read(b"")
    for name, value in _headers(form):
        if name.isascii() and name.replace("-", "").isalnum():
            mail.parsed[name] = value.replace("\r", " ").replace("\n", " ")
    return mail


def _first_address(text: str) -> str:
    mail = Mail.read(b"")
    mail.parsed["From"] = text.replace("\r", " ").replace("\n", " ")
    return next(iter(mail.addresses("From")), "")


def _bracketed(message_id: str) -> str:
    return message_id if not message_id or message_id.startswith("<") else f"<{message_id}>"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text_of(one) for one in value) if isinstance(value, list) else ()
