"""What every webhook must do, whoever's it is: refuse what is unproven, and survive whatever is sent (F61, F64, F77).

A new provider joins by one line in ``WEBHOOKS``.
"""

import base64
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from webhook_records import PASSWORD, basic

from outbound.channels.webhooks.base import MalformedError, Refusal, Request, Webhook
from outbound.channels.webhooks.mailgun import MailgunWebhook
from outbound.channels.webhooks.postmark import PostmarkWebhook
from outbound.channels.webhooks.sendgrid import SendGridWebhook
from outbound.channels.webhooks.ses import SesWebhook
from outbound.channels.webhooks.twilio import TwilioWebhook
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind
from outbound.domain.incoming import IncomingMessage

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
URL = "https://shop.example/webhooks/twilio?ref=" + "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b.1"
TOPIC = "arn:aws:sns:eu-south-1:123456789012:mail"

_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_EC = ec.generate_private_key(ec.SECP256R1())


def _certificate(until: datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(_RSA.public_key())
    made = made.serial_number(1).not_valid_before(NOW - timedelta(days=900)).not_valid_after(until)
    return made.sign(_RSA, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _twilio(at: datetime) -> Request:  # noqa: ARG001 - Twilio dates nothing
    fields = {"MessageSid": "SM" + "0" * 32, "AccountSid": "AC1", "MessageStatus": "delivered", "To": "+393401234567"}
    signed = URL + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.digest(b"token", signed.encode(), "sha1")).decode()
    headers = {"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature}
    return Request(urls=(URL,), headers=headers, body=urlencode(fields).encode())


def sns(at: datetime, message: object, *, version: str = "2", kind: str = "Notification", **more: str) -> Request:
    envelope = {
        "Type": kind,
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "SignatureVersion": version,
        "SigningCertURL": "http://169.254.169.254/latest/meta-data/",
        **more,
    }
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - Amazon's version 1
    envelope["Signature"] = base64.b64encode(_RSA.sign(signed.encode(), padding.PKCS1v15(), algorithm)).decode()
    headers = {"content-type": "text/plain; charset=UTF-8"}  # what SNS calls its JSON
    return Request(urls=(), headers=headers, body=json.dumps(envelope).encode())


BOUNCE = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "bouncedRecipients": [
            {"emailAddress": "ada@shop.example", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}
        ],
        "timestamp": "2026-11-30T08:59:00.000Z",
        "feedbackId": "f-1",
    },
    "mail": {"messageId": "0102", "timestamp": "2026-11-30T08:58:00.000Z", "destination": ["ada@shop.example"]},
}


def _ses(at: datetime) -> Request:
    return sns(at, BOUNCE)


def _sendgrid(at: datetime) -> Request:
    body = json.dumps([{"event": "delivered", "email": "ada@shop.example", "sg_event_id": "e1", "smtp-id": "<x@y>"}])
    stamp = str(int(at.timestamp()))
    signature = base64.b64encode(_EC.sign((stamp + body).encode(), ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": stamp,
    }
    return Request(urls=(), headers=headers, body=body.encode())


def _mailgun(at: datetime) -> Request:
    stamp, token = str(int(at.timestamp())), "t" * 50
    signature = hmac.digest(b"key", (stamp + token).encode(), "sha256").hex()
    event = {"event": "delivered", "recipient": "ada@shop.example", "id": "e1", "timestamp": at.timestamp()}
    body = {"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": event}
    return Request(urls=(), headers={"content-type": "application/json"}, body=json.dumps(body).encode())


def _postmark(at: datetime) -> Request:
    body = {"RecordType": "Delivery", "MessageID": "p1", "Recipient": "ada@shop.example", "DeliveredAt": at.isoformat()}
    headers = {"content-type": "application/json", "authorization": basic()}
    return Request(urls=(), headers=headers, body=json.dumps(body).encode())


_PUBLIC = _EC.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
WEBHOOKS: dict[str, tuple[Webhook, Callable[[datetime], Request]]] = {
    "twilio": (TwilioWebhook(account_sid="AC1", auth_token="token"), _twilio),
    "ses": (SesWebhook(topics=[TOPIC], certificates=[_certificate(NOW + timedelta(days=9))]), _ses),
    "sendgrid": (SendGridWebhook(public_key=base64.b64encode(_PUBLIC).decode()), _sendgrid),
    "mailgun": (MailgunWebhook(keys=("key",)), _mailgun),
    "postmark": (PostmarkWebhook(passwords=(PASSWORD,)), _postmark),
}
DATED = ("ses", "sendgrid", "mailgun")
BODY_SIGNED = ("twilio", "ses", "sendgrid")

every = pytest.mark.parametrize("name", sorted(WEBHOOKS))


@every
def test_a_proven_request_is_taken_and_says_what_it_says(name: str) -> None:
    one, make = WEBHOOKS[name]
    assert one.name == name
    assert one.verify(make(NOW), now=NOW) is None
    (news,) = one.parse(make(NOW))
    assert isinstance(news, DeliveryEvent)
    assert (news.provider, news.recipient) in {(name, "ada@shop.example"), (name, "+393401234567")}
    assert news.kind is (DeliveryKind.BOUNCED if name == "ses" else DeliveryKind.DELIVERED)
    assert one.key(make(NOW)) == one.key(make(NOW))


@every
def test_f61_without_its_proof_it_is_refused(name: str) -> None:
    one, make = WEBHOOKS[name]
    request = make(NOW)
    bare = {"content-type": request.headers["content-type"]}
    body = b"{}" if name in ("ses", "mailgun") else request.body
    assert one.verify(Request(urls=request.urls, headers=bare, body=body), now=NOW) is Refusal.UNSIGNED


@pytest.mark.parametrize("name", DATED)
def test_f61_older_or_newer_than_five_minutes_is_stale(name: str) -> None:
    one, make = WEBHOOKS[name]
    for minutes in (-6, 6):
        assert one.verify(make(NOW), now=NOW + timedelta(minutes=minutes)) is Refusal.STALE
    assert one.verify(make(NOW), now=NOW + timedelta(minutes=4)) is None


@pytest.mark.parametrize("name", BODY_SIGNED)
def test_f61_a_flipped_byte_anywhere_in_what_is_signed_is_refused(name: str) -> None:
    one, make = WEBHOOKS[name]
    request = make(NOW)
    passed = []
    for place in range(len(request.body)):
        flipped = request.body[:place] + bytes([request.body[place] ^ 1]) + request.body[place + 1 :]
        try:
            verdict = one.verify(Request(urls=request.urls, headers=request.headers, body=flipped), now=NOW)
        except MalformedError:
            continue
        if verdict is None:
            passed.append(place)
    if name == "ses":  # what SNS does not sign: the name of the certificate, its version being checked by use
        unsigned = request.body.decode()
        start = unsigned.index('"SigningCertURL"')
        end = unsigned.index('"Signature"')
        passed = [place for place in passed if not start - 2 <= place < end]
    assert passed == []


@every
@settings(max_examples=40, deadline=None)
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)), form=st.booleans())
def test_f64_garbage_is_refused_or_malformed_and_nothing_else(name: str, body: bytes, *, form: bool) -> None:
    one, make = WEBHOOKS[name]
    kind = "multipart/form-data; boundary=x" if form else "application/json"
    request = Request(urls=("https://a.example/",), headers={**make(NOW).headers, "content-type": kind}, body=body)
    for act in (lambda: one.verify(request, now=NOW), lambda: one.key(request), lambda: one.parse(request)):
        try:
            act()
        except MalformedError:
            continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["ses", "sendgrid", "mailgun", "postmark"])
@settings(max_examples=40, deadline=None)
@given(value=JSON, place=st.integers(0, 30))
def test_f64_any_json_anywhere_in_a_request_is_parsed_or_malformed(name: str, value: object, place: int) -> None:
    one, make = WEBHOOKS[name]
    request = make(NOW)
    body = json.loads(request.body)
    target = body[0] if isinstance(body, list) else body.get("event-data", body)
    if name == "ses":
        target = json.loads(body["Message"])
        for key in (list(target), list(target["bounce"])):
            inner = target if key == list(target) else target["bounce"]
            inner[key[place % len(key)]] = value
            body["Message"] = json.dumps(target)
            one.parse(Request(urls=(), headers=request.headers, body=json.dumps(body).encode()))
            target = json.loads(json.dumps({**BOUNCE}))
        return
    keys = list(target)
    target[keys[place % len(keys)]] = value
    with suppress(MalformedError):
        one.parse(Request(urls=(), headers=request.headers, body=json.dumps(body).encode()))


@pytest.mark.parametrize("name", ["ses", "sendgrid", "mailgun", "postmark"])
def test_f64_deep_json_and_other_charsets_are_malformed(name: str) -> None:
    one, _ = WEBHOOKS[name]
    deep = b"[" * 200_000
    request = Request(urls=(), headers={"content-type": "application/json"}, body=deep)
    with pytest.raises(MalformedError):
        one.parse(request)
    headers = {"content-type": "application/json; charset=utf-16"}
    with pytest.raises(MalformedError):
        one.parse(Request(urls=(), headers=headers, body='{"a": 1}'.encode("utf-16")))


def test_f77_the_address_of_a_certificate_is_never_asked_and_only_ours_count() -> None:
    """SigningCertURL names the metadata service of a cloud: nobody looks."""
    one, make = WEBHOOKS["ses"]
    assert one.verify(make(NOW), now=NOW) is None
    other = SesWebhook(topics=[TOPIC], certificates=[])
    assert other.verify(make(NOW), now=NOW) is Refusal.CERTIFICATE
    expired = SesWebhook(topics=[TOPIC], certificates=[_certificate(NOW - timedelta(days=1))])
    assert expired.verify(make(NOW), now=NOW) is Refusal.CERTIFICATE
    elsewhere = SesWebhook(topics=[TOPIC + "x"], certificates=[_certificate(NOW + timedelta(days=1))])
    assert elsewhere.verify(make(NOW), now=NOW) is Refusal.ACCOUNT
    assert one.verify(sns(NOW, BOUNCE, version="1"), now=NOW) is None


def test_f77_a_question_to_subscribe_is_proven_and_answered_by_no_machine() -> None:
    one, _ = WEBHOOKS["ses"]
    asked = sns(NOW, "confirm", kind="SubscriptionConfirmation", SubscribeURL="https://evil.example/", Token="t")
    assert one.verify(asked, now=NOW) is None
    assert one.parse(asked) == ()


def test_ses_tells_hard_soft_and_our_own_fault_apart() -> None:
    one, _ = WEBHOOKS["ses"]
    cases = {
        ("Permanent", "General", "5.1.1", "550 user unknown"): BounceKind.HARD,
        ("Permanent", "General", "5.7.1", "550 blocked for spam"): BounceKind.POLICY,
        ("Permanent", "NoEmail", "", ""): BounceKind.HARD,
        ("Permanent", "Suppressed", "5.1.1", "suppressed"): BounceKind.POLICY,
        ("Transient", "MailboxFull", "5.2.2", "mailbox full"): BounceKind.SOFT,
        ("Transient", "ContentRejected", "5.6.0", "no"): BounceKind.SENDER,
        ("Undetermined", "Undetermined", "", ""): BounceKind.POLICY,
    }
    for (kind, subtype, status, said), expected in cases.items():
        recipients = [{"emailAddress": "ada@shop.example", "status": status, "diagnosticCode": said}]
        bounce = {**BOUNCE["bounce"], "bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": recipients}  # type: ignore[dict-item]
        (news,) = one.parse(sns(NOW, {**BOUNCE, "bounce": bounce}))
        assert isinstance(news, DeliveryEvent)
        assert news.bounce is expected, (kind, subtype)


def test_twilio_refuses_another_account_and_carries_our_reference() -> None:
    """F61, F62: our reference is part of the signed address."""
    one, make = WEBHOOKS["twilio"]
    (news,) = one.parse(make(NOW))
    assert isinstance(news, DeliveryEvent)
    assert news.ours == "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b.1"
    stranger = TwilioWebhook(account_sid="AC2", auth_token="token")
    assert stranger.verify(make(NOW), now=NOW) is Refusal.ACCOUNT


def test_a_text_that_came_in_is_a_message_of_its_sender() -> None:
    one, _ = WEBHOOKS["twilio"]
    fields = {"MessageSid": "SM1", "AccountSid": "AC1", "From": "+393401234567", "To": "+3911", "Body": "Ciao è"}
    headers = {"content-type": "application/x-www-form-urlencoded"}
    (news,) = one.parse(Request(urls=(URL,), headers=headers, body=urlencode(fields).encode()))
    assert isinstance(news, IncomingMessage)
    assert (news.sender, news.text, news.key) == ("+393401234567", "Ciao è", "SM1")


def test_the_suite_has_every_provider() -> None:
    folder = Path(__file__).resolve().parents[2] / "outbound" / "channels" / "webhooks"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "base", "bodies"}
    assert modules == set(WEBHOOKS)
