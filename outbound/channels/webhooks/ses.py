"""Amazon SES over SNS: deliveries, bounces, complaints, opens, clicks, and mail that came in.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html,
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html. A message names the address of
the certificate that signed it; we never ask that address (fault F77): the certificates are files of the installation.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from outbound.channels.mail_in.bounce_kinds import bounce_kind
from outbound.channels.mail_in.mail import Mail
from outbound.channels.mail_in.reading import message
from outbound.channels.webhooks.base import MalformedError, News, Refusal, Request, is_stale
from outbound.channels.webhooks.bodies import iso_instant, json_body, json_object, json_text, text_of
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason
from outbound.domain.errors import ConfigurationError

K = DeliveryKind
B = BounceKind

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_KINDS = {
    "Send": K.SENT,
    "Delivery": K.DELIVERED,
    "DeliveryDelay": K.DEFERRED,
    "Bounce": K.BOUNCED,
    "Complaint": K.COMPLAINED,
    "Reject": K.REJECTED,
    "Rendering Failure": K.FAILED,
    "Open": K.OPENED,
    "Click": K.CLICKED,
    "Subscription": K.UNSUBSCRIBED,
}
_DETAILS = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}
_SUBTYPES = {
    # bounceType, bounceSubType: what needs no look at the words of the server
    ("Permanent", "NoEmail"): B.HARD,
    ("Permanent", "Suppressed"): B.POLICY,  # their own list
    ("Permanent", "OnAccountSuppressionList"): B.POLICY,
    ("Transient", "MessageTooLarge"): B.SENDER,
    ("Transient", "ContentRejected"): B.SENDER,
    ("Transient", "AttachmentRejected"): B.SENDER,
}


class SesWebhook:
    """The topics of one AWS account. ``certificates`` are PEM, those that SNS signs with in the account's regions.

    Raises ConfigurationError for a certificate that cannot be read.
    """

    name = "ses"

    def __init__(self, *, topics: Sequence[str], certificates: Sequence[bytes]) -> None:
        self._topics = frozenset(topics)
        self._certificates = [_load(one) for one in certificates]

    def verify(self, request: Request, *, now: datetime) -> Refusal | None:
        """RSA over the fields of the envelope in their fixed order (SignatureVersion 1: SHA-1, 2: SHA-256)."""
        envelope = json_object(json_body(request))
        signature, kind = text_of(envelope.get("Signature")), text_of(envelope.get("Type"))
        if not signature:
            return Refusal.UNSIGNED
        if text_of(envelope.get("TopicArn")) not in self._topics:
            return Refusal.ACCOUNT
        live = [one for one in self._certificates if one.not_valid_before_utc <= now <= one.not_valid_after_utc]
        if not live:
            return Refusal.CERTIFICATE
        names = _NOTIFICATION if kind == "Notification" else _SUBSCRIPTION
        signed = "".join(f"{name}\n{text_of(envelope[name])}\n" for name in names if envelope.get(name) is not None)
        if not _signed_by_one(live, signature, signed.encode(), version=text_of(envelope.get("SignatureVersion"))):
            return Refusal.FORGED
        return Refusal.STALE if is_stale(iso_instant(envelope.get("Timestamp")), now) else None

    def key(self, request: Request) -> str:
        """SNS gives each message an id, and repeats it."""
        return text_of(json_object(json_body(request)).get("MessageId"))

    def parse(self, request: Request) -> tuple[News, ...]:
        """One piece of news for each recipient. A question whether we subscribe is no news: an operator answers it."""
        envelope = json_object(json_body(request))
        if envelope.get("Type") != "Notification":
            return ()
        key = text_of(envelope.get("MessageId"))
        try:
            news = json_object(json_text(text_of(envelope.get("Message"))))
        except MalformedError:
            return ()  # such as the sentence SES sends when a topic is set up
        if text_of(news.get("notificationType")) == "Received":
            return (_mail(news, key),)
        return tuple(_events(news, key))


def _load(pem: bytes) -> Any:
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - slow to load

    try:
        return load_pem_x509_certificate(pem)
    except ValueError:
        remedy = "save the file that SigningCertURL of a message of your topic names, from sns.REGION.amazonaws.com"
        raise ConfigurationError("a certificate of SNS cannot be read", remedy) from None


def _signed_by_one(certificates: Sequence[Any], signature: str, signed: bytes, *, version: str) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - slow to load
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256  # noqa: PLC0415

    algorithm = SHA256() if version == "2" else SHA1()  # noqa: S303 - version 1 of Amazon's scheme, until a topic is set to 2
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    for certificate in certificates:
        key = certificate.public_key()
        try:
            if isinstance(key, RSAPublicKey):
                key.verify(raw, signed, PKCS1v15(), algorithm)
                return True
        except InvalidSignature:
            continue
    return False


def _events(news: Mapping[str, Any], key: str) -> Iterator[News]:
    word = text_of(news.get("eventType") or news.get("notificationType"))
    kind = _KINDS.get(word, K.UNKNOWN)
    mail = json_object(news.get("mail"))
    detail = json_object(news.get(_DETAILS.get(word, word.lower())))
    at = iso_instant(detail.get("timestamp")) or iso_instant(mail.get("timestamp"))
    reference = _message_id(mail)
    for number, (address, said) in enumerate(_recipients(kind, mail, detail)):
        response = text_of(said.get("diagnosticCode")) or text_of(
            detail.get("smtpResponse") or detail.get("errorMessage")
        )
        status = text_of(said.get("status"))
        yield DeliveryEvent(
            provider="ses",
            kind=kind,
            event_id=text_of(detail.get("feedbackId")) or key,
            key=f"{key}#{number}",
            reference=reference,
            recipient=address,
            at=at,
            bounce=_bounce(kind, detail, status, response),
            reason=RejectReason.SPAM if kind is K.COMPLAINED else None,
            code=status,
            description=text_of(
                detail.get("complaintFeedbackType") or detail.get("bounceSubType") or detail.get("reason")
            ),
            response=response,
            url=text_of(detail.get("link")),
            user_agent=text_of(detail.get("userAgent")),
            tags=tuple(json_object(mail.get("tags"))),
            metadata=json_object(mail.get("tags")),
        )


def _recipients(
    kind: DeliveryKind, mail: Mapping[str, Any], detail: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Those the news is about, as SES lists them for each kind; else all the mail went to."""
    names = {K.BOUNCED: "bouncedRecipients", K.COMPLAINED: "complainedRecipients", K.DEFERRED: "delayedRecipients"}
    listed = detail.get(names[kind]) if kind in names else detail.get("recipients") or mail.get("destination")
    found = []
    for one in listed if isinstance(listed, list) else []:
        said = json_object(one)
        found.append((text_of(said.get("emailAddress")) or text_of(one), said))
    return found[:1000]


def _bounce(kind: DeliveryKind, detail: Mapping[str, Any], status: str, response: str) -> BounceKind | None:
    if kind in (K.REJECTED, K.FAILED):
        return B.SENDER
    if kind is not K.BOUNCED:
        return None
    pair = text_of(detail.get("bounceType")), text_of(detail.get("bounceSubType"))
    if pair in _SUBTYPES:
        return _SUBTYPES[pair]
    if pair[0] == "Transient":
        return B.SOFT
    return bounce_kind(status=status, text=response)


def _message_id(mail: Mapping[str, Any]) -> str:
    """Our own Message-ID where SES shows the head of the mail, else the id it gave."""
    headers = mail.get("headers")
    for header in headers if isinstance(headers, list) else []:
        one = json_object(header)
        if text_of(one.get("name")).lower() == "message-id":
            return text_of(one.get("value"))
    return text_of(mail.get("messageId"))


def _mail(news: Mapping[str, Any], key: str) -> News:
    """A mail that SES received. Its text is there where the rule's action is SNS."""
    mail, receipt = json_object(news.get("mail")), json_object(news.get("receipt"))
    content = text_of(news.get("content"))
    raw = content.encode("utf-8", "surrogateescape")
    if text_of(json_object(receipt.get("action")).get("encoding")).lower() == "base64":
        try:
            raw = base64.b64decode(content)
        except (binascii.Error, ValueError):
            raw = b""
    reached = receipt.get("recipients")
    pair = (text_of(mail.get("source")), text_of(reached[0]) if isinstance(reached, list) and reached else "")
    spam = text_of(json_object(receipt.get("spamVerdict")).get("status")) == "FAIL"
    return message(Mail.read(raw), provider="ses", key=key, envelope=pair, spam=spam)
