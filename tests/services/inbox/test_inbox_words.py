"""STOP by text, end to end through Twilio's webhook: signed, kept, obeyed once (F58), on the timeline (C16, C21)."""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

from inbox_kit import M1, NOW, PHONE, Post, add_customer, add_message, news

from outbound.channels.webhooks.base import News, Request
from outbound.channels.webhooks.twilio import TwilioWebhook
from outbound.domain.delivery import DeliveryKind
from outbound.domain.keyring import Keyring
from outbound.services import customers
from outbound.services.inbox import Inbox
from outbound.services.inbox.receiving import keep, raw
from outbound.services.releases import Active
from outbound.storage import erasing, tables
from outbound.storage.inbox import Raw

URL = "https://shop.example/webhooks/twilio"
FORM = "application/x-www-form-urlencoded"


def text(body: str, sid: str = "SM7") -> Request:
    fields = {"MessageSid": sid, "AccountSid": "AC1", "From": PHONE, "To": "+15005550006", "Body": body}
    signed = URL + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.digest(b"token", signed.encode(), "sha1")).decode()
    headers = {"content-type": FORM, "x-twilio-signature": signature}
    return Request(urls=(URL,), headers=headers, body=urlencode(fields).encode())


class Twilio:
    """The account's webhook as the site uses it, without the socket."""

    def __init__(self, post: Post, active: Active) -> None:
        self._hook = TwilioWebhook(account_sid="AC1", auth_token="token")
        self._post = post
        readers = {"twilio": self._read}
        self.inbox = Inbox(post.database, readers=readers, keyring=post.keyring, active=lambda: active)

    def _read(self, one: Raw) -> Sequence[News]:
        return self._hook.parse(Request(urls=(URL,), headers={"content-type": FORM}, body=one.raw))

    def bring(self, request: Request, *, now: datetime = NOW) -> None:
        assert self._hook.verify(request, now=now) is None
        keep(self._post.database, [raw("twilio", self._hook.key(request), request.body, head={}, now=now)])
        self.inbox.work(now=now)


def test_c21_a_stop_fifty_times_is_one_event_and_nothing_leaves_after_it(post: Post, shipped: Active) -> None:
    add_message(post.database, channel="sms", address=PHONE)
    twilio = Twilio(post, shipped)
    for _ in range(50):
        twilio.bring(text(" stop!!! "))
    assert post.events() == ["message.replied", "request.stop"]
    assert {(scope, reason) for _, scope, reason in post.blocks()} == {("marketing", "opted_out")}
    assert post.rows(tables.interaction, "kind", "text", "message_id") == [("reply", " stop!!! ", M1)]


def test_c18_an_unclear_text_pauses_and_asks_for_a_person(post: Post, shipped: Active) -> None:
    Twilio(post, shipped).bring(text("please do not stop the parcel"))
    assert post.rows(tables.interaction, "kind", "attention") == [("message", "stop?")]
    assert post.rows(tables.sms_in, "meaning", "review") == [("unclear", "open")]


def test_c39_erasing_takes_news_contacts_and_the_bytes_they_came_in(
    post: Post, keyring: Keyring, shipped: Active
) -> None:
    add_message(post.database)
    Twilio(post, shipped).bring(text("Ciao, sono Ada"))
    post.tell(news(DeliveryKind.DELIVERED))
    hashes = [h for c, a in (("email", "ada@example.org"), ("sms", PHONE)) for h in keyring.address_hashes(c, a)]
    with post.database.write() as connection:
        taken = erasing.erase(
            connection,
            ["ada"],
            address_hashes=hashes,
            manifests=[],
            hasher=lambda who, key: f"{who}{key}"[::-1],
            now=NOW,
        )
    assert (taken.rows["delivery_event"], taken.rows["interaction"], taken.rows["inbox_event"]) == (1, 1, 2)
    assert post.rows(tables.inbox_event, "raw") == [(b"",), (b"",)]
    assert post.rows(tables.delivery_event, "key") == []


def test_news_stands_on_the_timeline_and_follows_a_merge(post: Post, keyring: Keyring) -> None:
    add_customer(post.database, keyring, "ada2", "other@example.org", "")
    add_message(post.database)
    post.tell(news(DeliveryKind.DELIVERED))
    customers.merge(post.database, loser="ada", winner="ada2", by="mia", now=NOW)
    shown = [e for e in customers.show(post.database, keyring, "ada2").timeline if e.kind == "delivery"]
    assert [(e.title, e.details["message"], e.details["provider"]) for e in shown] == [("delivered", M1, "mailgun")]
    assert post.rows(tables.delivery_event, "customer_id") == [("ada2",)]
