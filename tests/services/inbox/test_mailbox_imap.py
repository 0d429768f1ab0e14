"""Mail out of a real IMAP server: taken once, moved away or marked, whatever it is, also after a crash (F58, F63)."""

from collections.abc import Iterator

import pytest
from inbox_kit import M1, NOW, Post, add_message

from outbound.channels.mail_in.imap import ImapMailbox, ImapSettings
from outbound.domain.errors import ConfigurationError, OutboundError
from outbound.services.inbox import mailbox
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing import dovecot

needs_server = pytest.mark.skipif(not dovecot.program(), reason="dovecot is not installed (apt install dovecot-imapd)")

REPLY = f"""From: Ada <ada@example.org>
To: hello@shop.example
Subject: Re: Your parcel
Message-ID: <r1@example.org>
In-Reply-To: <{M1}@shop.example>

Where is it?
"""
GARBAGE = "\x01\x02 no header at all \x7f\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with dovecot.imap_server() as found:
        yield found


def settings(port: int, /, **more: object) -> ImapSettings:
    known = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "username": dovecot.USER,
        "password": dovecot.WORD,
        "done": "Outbound",
    }
    return ImapSettings(**(known | more))  # type: ignore[arg-type]


def put(port: int, *mails: str, folder: str = "INBOX") -> None:
    with dovecot.client(port) as client:
        client.create(folder)
        for one in mails:
            client.append(folder, "", "", one.replace("\n", "\r\n").encode())


def count(port: int, folder: str, what: str = "ALL") -> int:
    with dovecot.client(port) as client:
        if client.select(folder)[0] != "OK":
            return 0
        return len(client.search(None, what)[1][0].split())


@needs_server
def test_mail_is_kept_then_moved_and_worked_on_once(port: int, post: Post) -> None:
    add_message(post.database)
    put(port, REPLY, GARBAGE, REPLY, folder="One")
    box = ImapMailbox(settings(port, folder="One", done="Taken"))
    before = count(port, "Taken")
    assert mailbox.take(post.database, box, now=NOW) == mailbox.Taken(mails=3, new=2)
    assert (count(port, "One"), count(port, "Taken") - before) == (0, 3)
    put(port, REPLY, folder="One")  # somebody moved it back
    assert mailbox.take(post.database, box, now=NOW) == mailbox.Taken(mails=1, new=0)


@needs_server
def test_mail_may_stay_marked_as_seen(port: int, database: Database) -> None:
    before = count(port, "Two", "SEEN")
    put(port, REPLY, GARBAGE, folder="Two")
    box = ImapMailbox(settings(port, folder="Two", done=""))
    assert mailbox.take(database, box, now=NOW).new == 2
    assert mailbox.take(database, box, now=NOW).mails == 0
    assert count(port, "Two", "SEEN") - before == 2


@needs_server
def test_a_crash_between_keeping_and_moving_takes_it_again_as_the_same(port: int, database: Database) -> None:
    put(port, REPLY, folder="Three")
    box = ImapMailbox(settings(port, folder="Three", done="Taken3"))
    with box.open() as opened:
        (mail,) = opened.fetch(10)
        assert mailbox.take_in(database, [mail[1]], now=NOW) == 1  # and here it dies
    assert mailbox.take(database, box, now=NOW) == mailbox.Taken(mails=1, new=0)


@needs_server
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"password": "wrong"}, "mail_in.server"),
        ({"folder": "Nowhere"}, "mail_in.folder"),
        ({"port": 1}, "mail_in.server"),
    ],
)
def test_what_is_wrong_is_said_without_a_password(port: int, changed: dict[str, object], code: str) -> None:
    with pytest.raises(OutboundError) as error, ImapMailbox(settings(port, **changed)).open():
        pass
    assert error.value.code == code
    assert "wrong" not in str(error.value)


@pytest.mark.parametrize(
    "changed", [{"host": "mail.shop.example"}, {"password": ""}, {"username": ""}, {"folder": "a\nb"}]
)
def test_settings_that_would_leak_or_cannot_work_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        settings(993, **changed)


def test_a_mail_says_before_it_is_kept_what_it_would_be_taken_for(post: Post) -> None:
    from outbound.channels.mail_in.reading import Proof, read

    (told,) = mailbox.told(read(REPLY.encode(), proof=Proof()))
    assert (told.what, told.who) == ("a letter or reply", "ada@example.org")
    assert post.rows(tables.inbox_event, "id") == []
