"""What people write: on the timeline of the right customer, threaded, once, and an end to escalation (F65, C22)."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from inbox_kit import M1, NOW, PHONE, Post, add_customer, add_message

from outbound.domain.customer import ChannelName
from outbound.domain.incoming import IncomingMessage
from outbound.domain.keyring import Keyring
from outbound.services import customers
from outbound.storage import tables

MAIL = IncomingMessage(
    provider="mail",
    channel=ChannelName.EMAIL,
    sender="ada@example.org",
    text="Where is it?\n\nOn Mon, 30 Nov 2026 at 9:00, Shop wrote:\n> Your parcel left.\n",
    key="<r1@example.org>",
    subject="Re: Your parcel",
    references=(f"<{M1}@shop.example>",),
    at=NOW - timedelta(minutes=1),
)
TEXT = IncomingMessage(provider="twilio", channel=ChannelName.SMS, sender=PHONE, text="Grazie!", key="SM7")


def _contacts(post: Post) -> list[tuple[object, ...]]:
    names = ("customer_id", "kind", "channel", "text", "message_id", "leg", "attention")
    return post.rows(tables.interaction, *names)


def test_a_reply_lands_on_the_timeline_beside_the_message_it_answers(post: Post, keyring: Keyring) -> None:
    add_message(post.database, state="uncertain")
    for _ in range(3):
        post.tell(MAIL, provider="mail")
    assert _contacts(post) == [("ada", "reply", "email", "Where is it?", M1, 1, "")]
    assert post.state() == "sent", "who answers has it (delivery 2.6)"
    assert post.events() == ["message.replied"]
    data = post.rows(tables.event, "data", "customer_id")
    assert data == [
        ({"rule": "new-oil", "message": M1, "topic": "newsletter", "channel": "email"}, "ada"),
    ]
    shown = [e.kind for e in customers.show(post.database, keyring, "ada").timeline]
    assert shown.count("interaction") == 1


@pytest.mark.parametrize("ours", [f"{M1}.1", f"{M1}.0"])
def test_a_reply_is_threaded_by_a_signed_address_too(post: Post, ours: str) -> None:
    add_message(post.database)
    post.tell(replace(MAIL, references=(), ours=ours, sender="other@example.net"), provider="mail")
    assert _contacts(post)[0][:2] + _contacts(post)[0][4:6] == ("ada", "reply", M1, 1)


def test_a_text_is_threaded_by_its_number(post: Post) -> None:
    add_message(post.database, channel="sms", address=PHONE)
    post.tell(TEXT, provider="twilio")
    assert _contacts(post) == [("ada", "reply", "sms", "Grazie!", M1, 1, "")]


def test_who_writes_out_of_the_blue_is_found_by_address_and_a_stranger_is_kept(post: Post, keyring: Keyring) -> None:
    post.tell(replace(MAIL, references=()), provider="mail")
    post.tell(replace(TEXT, sender="+393330000000", key="SM8"), provider="twilio")
    add_customer(post.database, keyring, "bea", "ada@example.org", "")
    post.tell(replace(MAIL, references=(), key="<r2@example.org>"), provider="mail")
    found = sorted((row[0], row[1], row[6]) for row in _contacts(post))
    assert found == [("", "message", "unknown sender"), ("ada", "message", ""), ("ada", "message", "shared address")]
    assert post.events() == []


def test_a_reply_stops_the_escalation(post: Post) -> None:
    """The second leg waits: it is cancelled. And a leg that got an answer opens no further one."""
    add_message(post.database)
    leg = {"message_id": M1, "n": 2, "channel": "sms", "customer_id": "ada", "address": "", "cost": 0, "at": NOW}
    with post.database.write() as connection:
        connection.execute(sa.update(tables.message).values(state="ready", leg=2))
        connection.execute(sa.update(tables.leg).values(moved_on="no_receipt"))
        connection.execute(sa.insert(tables.leg).values(**leg))
    post.tell(replace(MAIL, ours=f"{M1}.1"), provider="mail")
    assert post.rows(tables.message, "state", "reason") == [("cancelled", "replied")]
    assert ("", "email") not in post.rows(tables.leg, "moved_on", "channel")
    assert dict(post.rows(tables.leg, "n", "receipt_at")) == {1: NOW - timedelta(minutes=1), 2: None}


@pytest.mark.parametrize("why", ["auto-replied", "null-sender", "precedence"])
def test_f65_a_machine_is_no_reply_and_is_never_answered(post: Post, why: str) -> None:
    add_message(post.database)
    post.tell(replace(MAIL, automatic=why), provider="mail")
    assert _contacts(post) == []
    assert post.events() == []
    assert len(post.rows(tables.message, "id")) == 1, "nothing new was written to anybody"
    assert post.rows(tables.delivery_event, "kind", "proven") == [("autoresponded", False)]


@pytest.mark.parametrize(
    ("subject", "text", "threaded", "state"),
    [
        ("unsubscribe", "", False, "withdrawn"),
        ("Re: News", "Unsubscribe please\n\n> the letter", True, "withdrawn"),
        ("Re: News", "Cancellami, grazie", True, "withdrawn"),
        ("R: Novità", "Non voglio più ricevere email", True, "withdrawn"),
        ("Re: unsubscribe from our list", "Where is my parcel?", True, ""),
        ("Re: News", "I tried to unsubscribe last week and it failed, can you help?", True, ""),
        ("Re: News", "Stop the presses, this is great", True, ""),
    ],
)
def test_c22_a_mail_that_asks_to_stop_is_obeyed_at_once_and_no_other(
    post: Post, subject: str, text: str, *, threaded: bool, state: str
) -> None:
    add_message(post.database)
    references = MAIL.references if threaded else ()
    post.tell(replace(MAIL, subject=subject, text=text, references=references), provider="mail")
    found = dict(post.rows(tables.consent, "topic", "state"))
    assert found.get("newsletter", "") == state
    every = {"newsletter", "offers", "gifts", "tracking"}
    assert set(found) == (set() if not state else {"newsletter"} if threaded else every)
    if "unsubscribe last" in text:
        assert _contacts(post)[0][6] == "unsubscribe?"
