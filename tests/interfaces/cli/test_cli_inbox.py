"""mail-in and inbox: files taken in, looked at before and after, and worked on again."""

from trial_shop import Shop

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


def test_mail_in_without_a_mailbox_says_what_to_do(shop: Shop) -> None:
    assert "[mail_in.none]" in shop.run("mail-in", "--once", status=1).err
    shop.run("mail-in", "--dry-run", status=64)


def test_a_provider_without_its_secret_stops_the_start(shop: Shop) -> None:
    shop.settings('environment = "test"\n[inbound]\nwebhooks = ["mailgun"]\n')
    assert "OUTBOUND_MAILGUN_KEYS is not set" in shop.run("inbox", "again", "x", status=1).err
