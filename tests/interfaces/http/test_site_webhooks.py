"""Webhooks over a real socket: what is refused and bounded, and what is answered is durable (F58, F61 to F64)."""

import base64
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from site_kit import NOW, Running, serve

from outbound.channels.webhooks.mailgun import MailgunWebhook
from outbound.channels.webhooks.postmark import PostmarkWebhook
from outbound.channels.webhooks.twilio import TwilioWebhook
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.webhooks import called_by
from outbound.storage import tables
from outbound.storage.database import Database

HOOKS = {
    "twilio": TwilioWebhook(account_sid="AC1", auth_token="token"),
    "mailgun": MailgunWebhook(keys=("key",)),
    "postmark": PostmarkWebhook(passwords=("hook:secret",)),
}
BASIC = "Basic " + base64.b64encode(b"hook:secret").decode()


@pytest.fixture
def hooked(database: Database, keyring: Keyring) -> Iterator[Running]:
    with serve(database, keyring, webhooks=HOOKS) as running:
        yield running


def mailgun(at: float = NOW.timestamp(), **event: object) -> bytes:
    stamp, token = str(int(at)), "t" * 50
    signature = hmac.digest(b"key", (stamp + token).encode(), "sha256").hex()
    data = {"event": "delivered", "recipient": "ada@example.org", "id": "e1", "timestamp": at, **event}
    block = {"timestamp": stamp, "token": token, "signature": signature}
    return json.dumps({"signature": block, "event-data": data}).encode()


def kept(site: Running) -> int:
    with site.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(tables.inbox_event)).scalar_one())


def figures(site: Running) -> str:
    return site.ask("GET", "/metrics")[2]


JSON = {"Content-Type": "application/json"}


def test_f58_f63_a_proven_request_is_durable_before_it_is_answered_and_kept_once(hooked: Running) -> None:
    for _ in range(5):
        status, _, body = hooked.ask("POST", "/webhooks/mailgun", mailgun(), JSON)
        assert (status, body) == (204, "")
    with hooked.database.read() as connection:
        (row,) = connection.execute(sa.select(tables.inbox_event)).all()
    assert (row.provider, row.raw, row.processed_at) == ("mailgun", mailgun(), None)
    assert row.head == {"type": "application/json", "url": "https://shop.example/webhooks/mailgun"}
    assert 'outbound_webhooks_total{provider="mailgun",result="kept"} 5.0' in figures(hooked)


def test_f61_what_is_not_proven_is_403_without_effect_and_counted(hooked: Running) -> None:
    forged = mailgun().replace(b'"token": "t', b'"token": "u')
    requests = (
        ("/webhooks/nobody", b"{}", JSON, "other", "unknown"),
        ("/webhooks/sendgrid", b"[]", JSON, "other", "unknown"),
        ("/webhooks/mailgun", b"{}", JSON, "mailgun", "unsigned"),
        ("/webhooks/mailgun", forged, JSON, "mailgun", "forged"),
        ("/webhooks/mailgun", mailgun(NOW.timestamp() - 301), JSON, "mailgun", "stale"),
        ("/webhooks/postmark", b"{}", JSON, "postmark", "unsigned"),
        ("/webhooks/postmark", b"{}", {**JSON, "Authorization": "Basic eDp5"}, "postmark", "forged"),
    )
    before = hooked.everything()
    for path, body, headers, _, _ in requests:
        status, _, said = hooked.ask("POST", path, body, headers)
        assert (status, said) == (403, ""), path
    assert hooked.everything() == before
    shown = figures(hooked)
    for _, _, _, provider, result in requests:
        assert f'outbound_webhooks_total{{provider="{provider}",result="{result}"}}' in shown


def test_f64_large_packed_deep_and_odd_bodies_are_bounded(hooked: Running) -> None:
    """10 MB, a gzip bomb, 100,000 brackets, UTF-16: 413, 415 and 400, and nothing is kept."""
    headers = {**JSON, "Authorization": BASIC}
    assert hooked.ask("POST", "/webhooks/postmark", b"x" * 10_000_000, headers)[0] == 413
    packed = {**headers, "Content-Encoding": "gzip"}
    assert hooked.ask("POST", "/webhooks/postmark", b"\x1f\x8b" + b"0" * 5000, packed)[0] == 415
    assert hooked.ask("POST", "/webhooks/postmark", b"[" * 100_000, headers)[0] == 400
    odd = {**headers, "Content-Type": "application/json; charset=utf-16"}
    assert hooked.ask("POST", "/webhooks/postmark", "{}".encode("utf-16"), odd)[0] == 400
    assert kept(hooked) == 0
    assert hooked.ask("GET", "/webhooks/postmark")[0] == 405


@dataclass(frozen=True, slots=True)
class _Called:
    public: str
    signed: str


@pytest.mark.parametrize(
    "called",
    [
        _Called("https://shop.example", "https://shop.example/webhooks/twilio?ref=x"),
        _Called("https://shop.example", "https://shop.example:443/webhooks/twilio?ref=x"),
        _Called("https://shop.example:443", "https://shop.example/webhooks/twilio?ref=x"),
        _Called("https://shop.example:8443", "https://shop.example:8443/webhooks/twilio?ref=x"),
        _Called("http://shop.example", "http://shop.example:80/webhooks/twilio?ref=x"),
        _Called("https://shop.example/contact", "https://shop.example/contact/webhooks/twilio?ref=x"),
        _Called("https://shop.example/a/b/", "https://shop.example:443/a/b/webhooks/twilio?ref=x"),
        _Called("https://[2001:db8::1]", "https://[2001:db8::1]:443/webhooks/twilio?ref=x"),
    ],
)
def test_f62_a_signature_holds_behind_a_proxy_by_the_configured_address(called: _Called) -> None:
    """Scheme, host, port and prefix as configured, with and without the implied port."""
    assert called.signed in called_by(called.public, "/webhooks/twilio", "ref=x")


def test_f62_no_header_of_the_request_chooses_the_address(database: Database, keyring: Keyring) -> None:
    """Signed for our address it holds whatever Host says; signed for another it does not, whatever is forwarded."""
    fields = {"MessageSid": "SM1", "AccountSid": "AC1", "MessageStatus": "sent"}
    tail = "".join(name + fields[name] for name in sorted(fields))

    def ask(site: Running, url: str, headers: dict[str, str]) -> int:
        signature = base64.b64encode(hmac.digest(b"token", (url + tail).encode(), "sha1")).decode()
        form = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature, **headers}
        return site.ask("POST", "/webhooks/twilio", urlencode(fields).encode(), form)[0]

    lies = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    with serve(database, keyring, public_url="https://shop.example/contact", webhooks=HOOKS) as site:
        assert ask(site, "https://shop.example/contact/webhooks/twilio", lies) == 204
        assert ask(site, "http://evil.example/webhooks/twilio", lies) == 403
        assert ask(site, "https://evil.example/contact/webhooks/twilio", lies) == 403


@contextmanager
def _broken(database: Database) -> Iterator[None]:
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE inbox_event RENAME TO inbox_gone"))
    try:
        yield
    finally:
        with database.write() as connection:
            connection.execute(sa.text("ALTER TABLE inbox_gone RENAME TO inbox_event"))


def test_f63_what_cannot_be_kept_is_not_answered_as_kept(hooked: Running) -> None:
    with _broken(hooked.database):
        assert hooked.ask("POST", "/webhooks/mailgun", mailgun(), JSON)[0] in (500, 503)
    assert hooked.ask("POST", "/webhooks/mailgun", mailgun(), JSON)[0] == 204
    assert kept(hooked) == 1
