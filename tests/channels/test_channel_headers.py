"""Header lines for any text at all: they say exactly what was meant, or there is no mail. A reader that is not ours."""

import email.header
import re
import unicodedata
from collections.abc import Callable

import pytest
from channels_kit import URL, deliver_one, email_content, email_parcel, envelope, smtp_adapter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbound.channels.email import headers, mime
from outbound.channels.email.headers import MailRefusedError
from outbound.domain.rendered import Attachment
from outbound.testing.smtp_server import SmtpServer

ANYTHING = st.one_of(
    st.text(st.characters(), max_size=120),
    st.text(st.sampled_from('àèéìòùÀÈ€“”—·ß \u00a0\u200d\ufeff🌞👩\u0301aZ09=?_<>"\\,;:@.()[]\t\r\n\0'), max_size=120),
    st.lists(
        st.sampled_from(["città", "più", "è", "l'offerta", "привет", "日本語", "=?utf-8?q?x?=", ""]), max_size=30
    ).map(" ".join),
)
URLS = st.text(st.sampled_from("abcXYZ019-._~:/?#[]@!$&'()*+,;%="), max_size=900).map("https://shop.example/u/".__add__)
CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
KNOWN = {
    *("Date", "From", "To", "Message-ID", "Subject", "Reply-To", "List-Id", "List-Unsubscribe"),
    *("List-Unsubscribe-Post", "Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type"),
}


def is_clean(text: str) -> bool:
    return not any(unicodedata.category(character) in CONTROLS for character in text)


def lines_of(raw: bytes) -> dict[str, bytes]:
    """The mail's own headers as they stand, folded. Each may occur once, and none that we did not write."""
    head = raw.partition(b"\r\n\r\n")[0] + b"\r\n"
    found = re.findall(rb"([!-9;-~]+): ?((?:[^\r\n]|\r\n[ \t])*)\r\n", head)
    assert b"".join(name + b": " + value + b"\r\n" for name, value in found).replace(b" ", b"") == head.replace(
        b" ", b""
    )
    names = [name.decode() for name, _ in found]
    assert len(names) == len(set(names))
    assert set(names) <= KNOWN
    return dict(zip(names, (value for _, value in found), strict=True))


def decoded(value: bytes) -> str:
    """What a mail program shows: the standard library's old decoder, which loses no space."""
    return str(email.header.make_header(email.header.decode_header(value.replace(b"\r\n", b"").decode("ascii"))))


def is_well_formed(raw: bytes) -> bool:
    bare = raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    return bare and b"\0" not in raw and raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998


@settings(max_examples=400, deadline=None)
@given(subject=ANYTHING, name=ANYTHING, body=ANYTHING, url=URLS)
@example(subject="\r\nBcc: spy@example.com", name="x", body="x", url=URL)
@example(subject="x", name="x\r\nBcc: spy@example.com", body="x", url=URL)
@example(subject="x" * 997, name='"', body="\r", url=URL)
@example(subject="=?utf-8?b?SGk=?= =?utf-8?b?SGk=?=", name="=?utf-8?b?SGk=?=", body=".", url=URL)
def test_f69_k2_any_text_arrives_exactly_or_not_at_all(subject: str, name: str, body: str, url: str) -> None:
    """F69, K1, K2: whatever the data, a mail reads back as meant and has our headers once each, or it is refused.

    It is refused for control characters and half characters only; the URL stands whole on its line.
    """
    phrase = name.strip()
    sender = f"{phrase} <news@bottega.example>"
    try:
        raw = mime.build(email_content(subject, sender=sender, text=body, html=body), envelope(unsubscribe_url=url))
    except MailRefusedError:
        assert not (is_clean(subject) and is_clean(phrase) and is_clean(body) and len(url) < 970)
        return
    assert is_clean(subject)
    assert is_clean(phrase)
    assert is_well_formed(raw)
    found = lines_of(raw)
    assert decoded(found["Subject"]) == subject
    display, _, address = found["From"].replace(b"\r\n", b"").rpartition(b"<")
    assert address.removesuffix(b">") == b"news@bottega.example"
    assert decoded(display.removesuffix(b" ")) == headers.split_mailbox(sender)[0]
    assert found["List-Unsubscribe"] == f"<{url}>".encode()


FIELDS: dict[str, Callable[[str], bytes]] = {
    "to": lambda text: mime.build(email_content(), envelope(f"{text}@example.it")),
    "domain": lambda text: mime.build(email_content(), envelope(f"marta@{text}")),
    "reply_to": lambda text: mime.build(email_content(reply_to=text or "a@b.it"), envelope()),
    "list_id": lambda text: mime.build(email_content(), envelope(list_id=text)),
    "list_name": lambda text: mime.build(email_content(), envelope(list_id=f"{text} <news.bottega.example>")),
    "message_id": lambda text: mime.build(email_content(), envelope(message_id=text)),
    "message_domain": lambda text: mime.build(email_content(), envelope(message_id=f"<0193@{text}>")),
    "url": lambda text: mime.build(email_content(), envelope(unsubscribe_url=f"https://x.example/{text}")),
    "language": lambda text: mime.build(email_content(language=text), envelope()),
    "attachment": lambda text: mime.build(
        email_content(attachments=(Attachment(name=text, media_type="text/plain", content=b"x"),)), envelope()
    ),
    "media_type": lambda text: mime.build(
        email_content(attachments=(Attachment(name="x", media_type=f"text/{text}", content=b"x"),)), envelope()
    ),
}


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=120, deadline=None)
@given(text=ANYTHING)
@example(text="a\r\nBcc: spy@example.com")
@example(text="a\nBcc: spy@example.com")
@example(text="a>, <spy@example.com")
@example(text="città.example")
def test_f69_no_field_can_start_a_header_of_its_own(field: str, text: str) -> None:
    """F69: names, addresses, ids, URLs and file names of any kind give the same set of headers, or no mail."""
    try:
        raw = FIELDS[field](text)
    except MailRefusedError:
        return
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    assert b"\0" not in raw
    assert b"\nBcc:" not in raw
    found = lines_of(raw)
    assert {"From", "To", "Subject", "Date", "Message-ID"} <= set(found)
    assert raw.isascii() or field in {"to", "reply_to"}  # only a local part beyond ASCII needs more (RFC 6531)
    assert b"spy" not in found["To"]


def test_a_domain_beyond_ascii_does_not_stop_a_message() -> None:
    """Message-ID and List-Id are made of the sender's domain: both are written in IDNA, as From is."""
    raw = mime.build(
        email_content(sender="Bottega <ciao@città.example>"),
        envelope(message_id="<0193-1@città.example>", list_id="novità.città.example"),
    )
    found = lines_of(raw)
    assert found["Message-ID"] == b"<0193-1@xn--citt-3na.example>"
    assert found["List-Id"] == b"<xn--novit-vqa.xn--citt-3na.example>"
    assert found["From"] == b"Bottega <ciao@xn--citt-3na.example>"


@pytest.mark.parametrize("subject", ["è", "Perché è già l'ora: più sole, meno città! 🌞", "Привет, Марта", "お知らせ"])
def test_k2_what_arrives_at_a_server_reads_as_it_was_written(subject: str, smtp_server: SmtpServer) -> None:
    """K2 over the wire: Italian and other scripts, seven bits although the server would take eight."""
    raw = mime.build(email_content(subject, text=subject, html=subject), envelope())
    assert deliver_one(smtp_adapter(smtp_server), email_parcel(payload=raw)).kind == "accepted"
    (arrived,) = smtp_server.messages()
    assert is_well_formed(arrived)
    assert decoded(lines_of(arrived)["Subject"]) == subject
    (entry,) = smtp_server.accepted()
    assert "8BITMIME" not in entry.facts["parameters"]
    assert "SMTPUTF8" not in entry.facts["parameters"]
