"""mail-in and inbox: files taken in, looked at before and after, and worked on again."""

import re

import sqlalchemy as sa
from trial_shop import Shop

from outbound.storage import tables

REPLY = """From: Ada <ada@example.org>
To: hello@shop.example
Subject: unsubscribe
Message-ID: <r1@example.org>

unsubscribe
"""


def test_a_mail_is_looked_at_then_taken_in_once_and_obeyed(shop: Shop) -> None:
    file = str(shop.write("x.eml", REPLY))
    looked = shop.run("mail-in", "--file", file, "--dry-run").out
    assert "a letter or reply" in looked
    assert shop.run("inbox", "list").out == "nothing came in\n"
    assert shop.run("mail-in", "--file", file).out == "1 mail, 1 new: 0 pieces of news, 1 letter of people\n"
    again = shop.run("mail-in", "--file", file, "--json").json
    assert (again["mails"], again["new"], again["worked"]["contacts"]) == (1, 0, 0)
    shown = shop.run("customer", "show", "ada").out
    assert "consent   newsletter / every channel: withdrawn" in shown
    assert "message  by email: unsubscribe: unsubscribe" in shown
    (one,) = shop.run("inbox", "list", "--json").json
    assert (one["provider"], one["state"]) == ("mail", "done")
    assert shop.run("inbox", "show", one["id"]).out.strip() == REPLY.strip()
    assert shop.run("inbox", "again", one["id"]).out == "1 request worked on: 0 pieces of news were new\n"
    assert shop.run("inbox", "show", "x", status=1).err.startswith("outbound: nothing came in as x [inbox.unknown]")


def test_an_answer_to_a_signed_reply_to_finds_its_message_whatever_became_of_its_headers(shop: Shop) -> None:
    """From the mail that left to the timeline: the address alone says what is answered; a forged one says nothing."""
    shop.settings('environment = "test"\n[email]\nreplies = "reply@replies.shop.example"\n')
    who = str(shop.customers(["ada"]))
    shop.run("--at", "2026-11-30T09:59Z", "send", "notice", "--key", "k1", "--customers", who, "--data", "what=x")
    shop.run("run", "--at", "2026-11-30T10:00Z", "--until", "2026-11-30T10:05Z")
    (mail,) = (shop.folder / "mailbox").rglob("*.eml")
    (to,) = re.findall(r"^Reply-To: (reply\+\w{53}@replies\.shop\.example)", mail.read_text(), re.MULTILINE)
    forged = to.replace(to[20], "a" if to[20] != "a" else "b", 1)
    for number, address in enumerate((to, forged)):
        text = f"From: Somebody <who{number}@example.net>\nTo: {address}\nSubject: ...\n\nIs it still there?\n"
        shop.run("mail-in", "--file", str(shop.write(f"r{number}.eml", text)))
    with shop.database() as database, database.read() as connection:
        rows = connection.execute(sa.select(tables.interaction).order_by(tables.interaction.c.address)).all()
        (sent,) = connection.execute(sa.select(tables.message.c.id)).scalars()
    assert [(row.kind, row.customer_id, row.message_id, row.attention) for row in rows] == [
        ("reply", "ada", sent, ""),
        ("message", "", "", "unknown sender"),
    ]


def test_mail_in_without_a_mailbox_says_what_to_do(shop: Shop) -> None:
    assert "[mail_in.none]" in shop.run("mail-in", "--once", status=1).err
    shop.run("mail-in", "--dry-run", status=64)


def test_a_provider_without_its_secret_stops_the_start(shop: Shop) -> None:
    shop.settings('environment = "test"\n[inbound]\nwebhooks = ["mailgun"]\n')
    assert "OUTBOUND_MAILGUN_KEYS is not set" in shop.run("inbox", "again", "x", status=1).err
