"""Alerts by e-mail through a real SMTP server, and by POST to a real HTTP server, whatever these answer."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from channels_kit import smtp_adapter
from http_hook import hook

from outbound.channels.alerts import MailReceiver, WebhookReceiver
from outbound.domain.alert import Alert, AlertKind, Notice
from outbound.domain.errors import ConfigurationError
from outbound.testing.smtp_server import SmtpServer

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
FIRING = Notice(
    alert=Alert(kind=AlertKind.ACCOUNT, subject="twilio", text="twilio <is> paused", remedy="`outbound doctor`"),
    since=NOW,
)
OVER = Notice(
    alert=Alert(kind=AlertKind.DISK, subject="a", text="a: 0.1 GB are left", remedy="make room"), since=NOW, over=True
)
SECRET = "webhook-secret"


def test_one_mail_says_what_fires_what_is_over_and_what_to_do(tmp_path: Path) -> None:
    with SmtpServer(tmp_path) as server:
        adapter = smtp_adapter(server)
        receiver = MailReceiver(
            adapter=adapter,
            to=("ops@shop.example", "boss@shop.example"),
            sender="Watch <w@shop.example>",
            installation="i",
        )

        async def tell() -> str:
            said = await receiver.tell([OVER, FIRING], now=NOW)
            await adapter.close()
            return said

        assert asyncio.run(tell()) == ""
        assert [one.recipient for one in server.accepted()] == ["ops@shop.example", "boss@shop.example"]
        mail = message_from_bytes(server.messages()[0], policy=policy.default)
    assert mail["Subject"] == "[i] 1 alert, 1 over: account twilio"
    assert mail["From"] == "Watch <w@shop.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_body(("plain",)).get_content()
    assert text.index("ALERT  account twilio") < text.index("-> `outbound doctor`") < text.index("OVER  disk a")
    assert "make room" not in text, "what is over needs no remedy"
    assert "twilio &lt;is&gt; paused" in mail.get_body(("html",)).get_content()


def test_a_mail_that_nobody_took_is_not_told(tmp_path: Path) -> None:
    with SmtpServer(tmp_path) as server:
        server.set_modes("rcpt=550 5.1.1 gone")
        adapter = smtp_adapter(server)
        receiver = MailReceiver(
            adapter=adapter, to=("ops@shop.example",), sender="W <w@shop.example>", installation="i"
        )

        async def tell() -> str:
            said = await receiver.tell([FIRING], now=NOW)
            await adapter.close()
            return said

        said = asyncio.run(tell())
    assert said.startswith("rejected_recipient 550")
    assert "ops@" not in said


def test_a_post_carries_words_for_a_chat_facts_for_a_program_and_a_signature() -> None:
    with hook() as seen:
        receiver = WebhookReceiver(url=f"{seen.url}/in?room=1", installation="shop.example", secret=SECRET)
        assert asyncio.run(receiver.tell([FIRING, OVER], now=NOW)) == ""
        [one] = seen.requests
    headers, body = one.headers, one.body
    told = json.loads(body)
    assert told["text"].startswith("[shop.example] 1 alert, 1 over: account twilio\nALERT  account twilio")
    assert [(one["status"], one["kind"], one["subject"]) for one in told["alerts"]] == [
        ("firing", "account", "twilio"),
        ("over", "disk", "a"),
    ]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert SECRET not in repr(receiver)


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_a_2xx_is_not_told_and_a_redirect_is_not_followed(status: int) -> None:
    with hook() as seen:
        seen.status = status
        receiver = WebhookReceiver(url=seen.url, installation="i")
        assert asyncio.run(receiver.tell([FIRING], now=NOW)) == f"answered {status}"
        assert len(seen.requests) == 1
        assert "webhook-signature" not in seen.requests[0].headers
    assert asyncio.run(receiver.tell([FIRING], now=NOW)) == "no answer: ConnectionRefusedError"


@pytest.mark.parametrize("url", ["http://hooks.example/x", "ftp://hooks.example", "hooks.example", "https:///x"])
def test_alerts_leave_encrypted_or_not_at_all(url: str) -> None:
    with pytest.raises(ConfigurationError):
        WebhookReceiver(url=url, installation="i")
