"""All recorded webhooks give the recorded news, and what is signed gives none when a byte of it is changed."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from webhook_records import PASSWORD, Record, as_recorded, basic, in_their_words, records, webhook

from outbound.channels.webhooks.base import Refusal, Request
from outbound.channels.webhooks.bodies import first, form_body, instant, last
from outbound.channels.webhooks.sendgrid import SendGridWebhook
from outbound.channels.webhooks.twilio import TwilioWebhook
from outbound.domain.delivery import DeliveryEvent, DeliveryKind

RECORDED = 73


def test_the_73_recorded_webhooks_give_the_recorded_news(shared_data: Path) -> None:
    """SendGrid, Mailgun and Postmark, as django-anymail's own tests recorded them."""
    count = 0
    for record in records(shared_data):
        news = webhook(record.provider).parse(record.request())
        assert [in_their_words(one) for one in news] == [as_recorded(one) for one in record.expected], record.name
        count += 1
    assert count == RECORDED


def _stamp(record: Record) -> str:
    if record.body.startswith(b"{"):
        return str(json.loads(record.body)["signature"]["timestamp"])
    return last(form_body(record.request()), "timestamp")


def test_each_signed_mailgun_recording_is_proven_and_none_after_a_changed_byte(shared_data: Path) -> None:
    """F61: every byte of signature, token and time, one at a time; what is older than five minutes is stale."""
    proven = 0
    for record in records(shared_data):
        if record.provider != "mailgun" or "metadata-signature" in record.body.decode("latin-1"):
            continue
        mailgun, request, signed_at = webhook("mailgun"), record.request(), instant(_stamp(record))
        assert signed_at is not None
        assert mailgun.verify(request, now=signed_at) is None, record.name
        assert mailgun.verify(request, now=signed_at + timedelta(minutes=6)) is Refusal.STALE
        body = json.loads(record.body)["signature"] if record.body.startswith(b"{") else None
        for name in ("signature", "token", "timestamp"):
            value = str(body[name]) if body else last(form_body(request), name)
            for place in range(len(value)):
                other = "1" if value[place] != "1" else "2"
                changed = value[:place] + other + value[place + 1 :]
                forged = Request(
                    urls=request.urls,
                    headers=request.headers,
                    body=record.body.replace(value.encode(), changed.encode()),
                )
                assert mailgun.verify(forged, now=signed_at) is Refusal.FORGED, (record.name, name, place)
        proven += 1
    assert proven >= 20


def test_recordings_of_providers_that_sign_nothing_need_the_password(shared_data: Path) -> None:
    """F61: missing, wrong and right."""
    for record in records(shared_data):
        if record.provider == "mailgun" or record.headers["content-type"] == "application/json" != record.provider:
            continue
        if record.provider == "sendgrid" and record.headers["content-type"] == "application/json":
            continue
        one, now = webhook(record.provider), instant(0)
        assert now is not None
        assert one.verify(record.request(), now=now) is Refusal.UNSIGNED, record.name
        assert one.verify(record.request(authorization=basic("hook:guess")), now=now) is Refusal.FORGED
        assert one.verify(record.request(authorization="Basic %%%"), now=now) is Refusal.FORGED
        assert one.verify(record.request(authorization=basic(PASSWORD)), now=now) is None


def test_sendgrids_vector_is_proven_and_none_after_a_changed_byte(shared_data: Path) -> None:
    """F61: each byte of the body, the signature's every character, another key, another hour."""
    vector = json.loads((shared_data / "twilio" / "sendgrid_event_webhook_vector.json").read_text(encoding="utf-8"))
    one, other = (
        SendGridWebhook(public_key=vector["public_key"]),
        SendGridWebhook(public_key=vector["other_public_key"]),
    )
    signed_at = instant(vector["timestamp"])
    assert signed_at is not None
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": vector["signature"],
        "x-twilio-email-event-webhook-timestamp": vector["timestamp"],
    }
    body = vector["payload"].encode()
    request = Request(urls=(), headers=headers, body=body)
    assert one.verify(request, now=signed_at) is None
    assert other.verify(request, now=signed_at) is Refusal.FORGED
    assert one.verify(request, now=signed_at + timedelta(minutes=6)) is Refusal.STALE
    assert one.verify(Request(urls=(), headers={"content-type": "application/json"}, body=body), now=signed_at)
    for place in range(0, len(body), 7):
        flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert one.verify(Request(urls=(), headers=headers, body=flipped), now=signed_at) is Refusal.FORGED
    (news,) = one.parse(request)
    assert isinstance(news, DeliveryEvent)
    assert (news.kind, news.recipient) == (DeliveryKind.REJECTED, "hello@world.com")


def test_twilios_signature_vectors(shared_data: Path) -> None:
    """F61: valid and forged, repeated fields, a JSON body by its hash; a changed byte of any valid one is refused."""
    found = json.loads((shared_data / "twilio" / "signature_vectors.json").read_text(encoding="utf-8"))
    one = TwilioWebhook(account_sid="AC123", auth_token=found["auth_token"])
    now = instant(0)
    assert now is not None
    for vector in found["vectors"]:
        request = _twilio_request(vector)
        assert (one.verify(request, now=now) is None) == vector["valid"], vector
        if not vector["valid"]:
            continue
        for place in range(len(request.body)):
            flipped = request.body[:place] + bytes([request.body[place] ^ 1]) + request.body[place + 1 :]
            forged = Request(urls=request.urls, headers=request.headers, body=flipped)
            assert one.verify(forged, now=now) is not None, (vector, place)


def _twilio_request(vector: dict[str, object]) -> Request:
    from urllib.parse import urlencode

    headers = {"x-twilio-signature": str(vector["signature"])}
    if "body" in vector:
        body, headers["content-type"] = str(vector["body"]).encode(), "application/json"
    else:
        params = vector["params"]
        assert isinstance(params, dict)
        body, headers["content-type"] = urlencode(params, doseq=True).encode(), "application/x-www-form-urlencoded"
    return Request(urls=(str(vector["url"]),), headers=headers, body=body)


def test_the_inbound_sample_of_sendgrid_is_read(shared_data: Path) -> None:
    raw = (shared_data / "twilio" / "sendgrid_inbound_default_data.txt").read_bytes()
    boundary = raw.lstrip().splitlines()[0].removeprefix(b"--").decode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
    form = form_body(Request(urls=(), headers=headers, body=raw))
    assert first(form, "to")


@pytest.mark.parametrize("public_key", ["%%%", "MFkw", ""])
def test_a_key_that_is_none_is_refused_and_without_one_nothing_is_believed(public_key: str) -> None:
    from outbound.domain.errors import ConfigurationError

    if public_key:
        with pytest.raises(ConfigurationError, match="SendGrid"):
            SendGridWebhook(public_key=public_key)
        return
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-signature": "AAAA",
        "x-twilio-email-event-webhook-timestamp": "0",
    }
    now = instant(0)
    assert now is not None
    request = Request(urls=(), headers=headers, body=b"[]")
    assert SendGridWebhook(public_key="").verify(request, now=now) is Refusal.UNSIGNED
