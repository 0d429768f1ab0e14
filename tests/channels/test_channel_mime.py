"""The bytes of a mail: exact, well-formed, and read back as written by a parser that is not ours."""

import binascii
import email
import email.header
import email.policy
import re
from datetime import datetime
from email.message import EmailMessage

import pytest
from channels_kit import NOW, URL, email_content, envelope
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbound.channels.email import headers, mime
from outbound.channels.email.headers import MailRefusedError
from outbound.domain.errors import OutboundError
from outbound.domain.rendered import Attachment
from outbound.testing.bench.render_email import shipped_letters

WORDS = st.sampled_from(
    (
        *("è", "perché", "d'estate", "Marta", "🌞", "città", "già", "l'offerta", "più", "novità", "€", "20%", "—"),
        *("“solo”", "oggi", "per", "te,", "Jürgen", "Łódź", "👩\u200d👩\u200d👧", "ti", "aspettiamo!", "ciò", "=?x?="),
        *("naïve", "à", "un'altra", "10:30", "...", "ñandú", "Ελλάδα", "привет"),
    )
)
SUBJECTS = st.lists(WORDS, min_size=1, max_size=20).map(" ".join)
BODIES = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


PIECES = st.sampled_from(
    (
        *("a", ".", "= ", " ", "\t", "\n", "\0", "é", "€", "😀", "<td>", "\x85", "\x7f", "\n.\n", "x" * 72 + "="),
        *("x" * 73, "x" * 74, "x" * 75, "x" * 76, "y" * 998, "é" * 40, "ab=" * 700, "<td class='é'>" + "z" * 60),
    )
)
LINES = st.lists(st.one_of(PIECES, st.text(st.characters(exclude_categories=["Cs"]), max_size=30)), max_size=50).map(
    "".join
)


def as_binascii_writes(text: str) -> bytes:
    """The whole text in quoted-printable, by the standard library in one go."""
    octets = re.sub("\r\n|\r|\n", "\r\n", text).encode()
    encoded = binascii.b2a_qp(octets, istext=True, quotetabs=False)
    return encoded if b"\r\n" in octets else encoded.replace(b"=\n", b"=\r\n")


def parse(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def raw_header(raw: bytes, name: str) -> bytes:
    found = re.search(rb"(?im)^" + name.encode() + rb": ((?:[^\r\n]|\r\n[ \t])*)\r\n", raw)
    assert found is not None, name
    return found[1]


def decoded(raw: bytes, name: str) -> str:
    """A header as the old decoder of the standard library reads it: the reader that loses no space."""
    text = raw_header(raw, name).replace(b"\r\n", b"").decode("ascii")
    return str(email.header.make_header(email.header.decode_header(text)))


@settings(max_examples=400, deadline=None)
@given(subject=SUBJECTS)
@example(subject="d'estate è")
@example(subject="x" * 300)
@example(subject="a " * 200 + "è")
@example(subject="  due spazi   in mezzo  ")
@example(subject="=?utf-8?b?SGVsbG8=?=")
@example(subject="")
def test_k2_any_subject_reads_back_exactly(subject: str) -> None:
    """K2: no space and no character of a subject is lost, no line of it is longer than 76 columns."""
    raw = mime.build(email_content(subject), envelope())
    assert decoded(raw, "Subject") == subject
    wire = b"Subject: " + raw_header(raw, "Subject")
    assert max(map(len, wire.split(b"\r\n"))) <= 76
    assert all(len(word) <= 75 for word in re.findall(rb"=\?\S+\?=", wire))


@settings(max_examples=100, deadline=None)
@given(name=SUBJECTS)
@example(name='Rossi, Mario "il Verde"')
@example(name="Mario \\ Rossi (srl)")
def test_k2_the_senders_name_reads_back_exactly(name: str) -> None:
    """A display name with accents, commas, quotes or emoji reaches the reader whole, the address untouched."""
    raw = mime.build(email_content(sender=f"{name} <news@bottega.example>"), envelope())
    whole = decoded(raw, "From")
    assert whole == f"{name} <news@bottega.example>"


def test_k1_list_unsubscribe_is_never_encoded_or_folded() -> None:
    """K1, C01: the long URL stands whole on one line, with the one-click header beside it, each once."""
    raw = mime.build(email_content(), envelope())
    assert len(URL) > 78
    assert f"\r\nList-Unsubscribe: <{URL}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n".encode() in raw
    assert raw.lower().count(b"list-unsubscribe:") == 1


def test_k1_several_urls_fold_only_after_the_comma() -> None:
    """RFC 2369: a list of URLs is broken between them, never inside one."""
    line = headers.url_list("List-Unsubscribe", (URL, URL + "2"))
    assert line == f"List-Unsubscribe: <{URL}>,\r\n <{URL}2>\r\n".encode()


def test_without_an_unsubscribe_url_no_list_header_is_written() -> None:
    """Transactional mail carries no List-* header."""
    raw = mime.build(email_content(), envelope(unsubscribe_url=None, list_id=None))
    assert b"List-" not in raw


CONTROLS = [
    "\r",
    "\n",
    "\r\nBcc: spy@example.com",
    "\0",
    "\x0b",
    "\x0c",
    "\x1b",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\ud800",
]


@pytest.mark.parametrize("bad", CONTROLS, ids=ascii)
@pytest.mark.parametrize("field", ["subject", "sender", "reply_to", "to", "list_id", "url", "attachment", "language"])
def test_k11_f69_a_control_character_in_a_header_stops_the_message(field: str, bad: str) -> None:
    """K11, F69: no field of a mail can start a line of its own; the refusal does not repeat the value."""
    content, around = email_content(), envelope()
    match field:
        case "subject":
            content = email_content(f"Ciao{bad}Marta")
        case "sender":
            content = email_content(sender=f"Bott{bad}ega <news@bottega.example>")
        case "reply_to":
            content = email_content(reply_to=f"ciao{bad}@bottega.example")
        case "to":
            around = envelope(f"mar{bad}ta@example.it")
        case "list_id":
            around = envelope(list_id=f"news{bad}.bottega.example")
        case "url":
            around = envelope(unsubscribe_url=f"https://shop.example/u/{bad}x")
        case "attachment":
            file = Attachment(name=f"a{bad}.pdf", media_type="application/pdf", content=b"")
            content = email_content(attachments=(file,))
        case "language":
            content = email_content(language=f"it{bad}")
    with pytest.raises(MailRefusedError) as refused:
        mime.build(content, around)
    assert isinstance(refused.value, OutboundError)
    assert bad not in str(refused.value)
    assert "marta" not in str(refused.value).lower()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "marta",
        "@example.it",
        "marta@",
        "a b@example.it",
        "a@b@c.it",
        "a<b@example.it",
        'a"b@example.it',
        "a@ex ample.it",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """An address that could break out of To or RCPT never gets there."""
    with pytest.raises(MailRefusedError):
        mime.build(email_content(), envelope(address))


def test_f69_message_id_and_url_must_be_plain() -> None:
    """A message id or a URL that is not plain ASCII stops the message."""
    with pytest.raises(MailRefusedError):
        mime.build(email_content(), envelope(message_id="no at sign"))
    with pytest.raises(MailRefusedError):
        mime.build(email_content(), envelope(unsubscribe_url="javascript:alert(1)"))
    with pytest.raises(MailRefusedError):
        mime.build(email_content(), envelope(unsubscribe_url="https://shop.example/" + "u" * 1000))


@settings(max_examples=300, deadline=None)
@given(text=LINES)
@example(text="x" * 1_998 + "é" + "=" * 9)
@example(text="<td>é" * 700 + " ")
@example(text="y" * 2_100 + "é" + "y" * 52)
def test_bodies_put_together_from_kept_pieces_are_the_bytes_of_the_standard_encoder(text: str) -> None:
    """Long lines, short ones, the last one: nothing depends on what was encoded before."""
    for _ in range(2):  # the second time from what was kept
        encoding, body = mime._whole(text)
        if encoding == b"quoted-printable":
            assert b"".join(body) == as_binascii_writes(text)


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(LINES, min_size=1, max_size=12))
@example(pieces=["tail ", "\n", "\t\n ", "é"])
@example(pieces=["x" * 75, "x" * 76, "é" * 25, "=" * 26, ""])
@example(pieces=["è", "a ", ""])
@example(pieces=["è\r", "\n"])
@example(pieces=["x" * 2_000, ".", "\n.\n", "From "])
def test_a_page_reads_back_whatever_pieces_it_is_made_of(pieces: list[str]) -> None:
    """What is encoded once for everybody stands beside what is one reader's own, and nothing is lost between them."""
    page = "".join(pieces)
    encoding, body = mime._body(page, tuple(pieces))
    mime._read_back((encoding, body), page)
    if encoding == b"quoted-printable":
        wire = b"".join(body)
        assert binascii.a2b_qp(wire) == re.sub("\r\n|\r|\n", "\r\n", page).encode()
        assert max(map(len, wire.split(b"\r\n"))) <= 76
        assert wire.isascii()
        assert not re.search(rb"[ \t]\r\n|[ \t]\Z|=\r\n\Z", wire)


def test_the_shipped_letter_is_encoded_once_for_everybody() -> None:
    """Of two letters nearly every line of the page is the same: their template's."""
    pages = []
    for raw in shipped_letters(2):
        page = parse(raw).get_body(("html",))
        assert isinstance(page, EmailMessage)
        assert page["Content-Transfer-Encoding"] == "quoted-printable"
        pages.append(page.get_payload(decode=False).split("\n"))
    first, second = pages
    assert len(first) == len(second)
    assert sum(one != other for one, other in zip(first, second, strict=True)) < 10


def test_a_mail_that_does_not_read_back_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """K2: every mail in tests, one of 256 elsewhere, is decoded again before it may leave."""
    monkeypatch.setattr(mime, "_body", lambda _text, _pieces: (b"quoted-printable", [b"Per=C3=B2"]))
    with pytest.raises(MailRefusedError, match="does not read back"):
        mime.build(email_content(html="Però che bello"), envelope())


@settings(max_examples=150, deadline=None)
@given(text=BODIES, page=BODIES)
@example(text=".\n..\n.hidden\n", page="<p>.</p>\n.")
@example(text="no end", page="a" * 5000)
@example(text="привет " * 50, page="è" * 2000)
@example(text="tail \nspaces\t\n", page="=\n=3D\n")
@example(text="\0", page="\r\r\n\n\r")
def test_c12_both_bodies_read_back_and_the_wire_is_clean(text: str, page: str) -> None:
    """C12, F69: text and HTML come out as they went in; the wire is ASCII with CRLF only and short lines."""
    raw = mime.build(email_content(text=text, html=page), envelope())
    message = parse(raw)
    assert message.get_content_type() == "multipart/alternative"
    for part, content in zip(message.iter_parts(), (text, page), strict=True):
        octets = part.get_payload(decode=True)
        assert isinstance(octets, bytes)
        lines = content.replace("\r\n", "\n").replace("\r", "\n")
        assert octets.decode("utf-8").replace("\r\n", "\n") == lines
    assert raw.isascii()
    assert raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n")
    assert b"\0" not in raw
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.endswith(b"--\r\n")


def test_the_same_message_gives_the_same_bytes_and_another_id_another_boundary() -> None:
    """Delivery 2.2: the hash of a re-rendered body must match; boundaries hang on the message id alone."""
    first = mime.build(email_content(), envelope())
    assert first == mime.build(email_content(), envelope())
    other = mime.build(email_content(), envelope(message_id="<0193-2@bottega.example>"))
    assert parse(first).get_boundary() != parse(other).get_boundary()


def test_a_body_that_holds_the_boundary_gets_another_one() -> None:
    """Customer text cannot close a part early, even knowing the message id."""
    boundary = parse(mime.build(email_content(text="plain", html="plain"), envelope())).get_boundary()
    message = parse(mime.build(email_content(text=f"--{boundary}--\n", html="plain"), envelope()))
    assert message.get_boundary() != boundary
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_headers_are_those_of_a_careful_sender() -> None:
    """Date, identity, language, automation and list headers, each once."""
    message = parse(mime.build(email_content(), envelope()))
    assert datetime.strptime(str(message["Date"]), "%a, %d %b %Y %H:%M:%S %z") == NOW
    expected = {
        "From": "Bottega Verde <news@bottega.example>",
        "To": "marta@example.it",
        "Reply-To": "ciao@bottega.example",
        "Message-ID": "<0193-1@bottega.example>",
        "MIME-Version": "1.0",
        "Auto-Submitted": "auto-generated",
        "Content-Language": "it",
        "List-Id": "<news.bottega.example>",
    }
    for name, value in expected.items():
        assert message.get_all(name) == [value], name
    assert "Auto-Submitted" not in parse(mime.build(email_content(), envelope(auto_submitted=False)))


def test_attachments_come_back_with_their_names() -> None:
    """multipart/mixed around the alternative; names with accents survive (RFC 2231)."""
    files = (
        Attachment(name="fattura 12.pdf", media_type="application/pdf", content=bytes(range(256)) * 20),
        Attachment(name="perché no?.txt", media_type="text/plain", content=b"ciao"),
    )
    message = parse(mime.build(email_content(attachments=files), envelope()))
    assert message.get_content_type() == "multipart/mixed"
    assert [part.get_filename() for part in message.iter_attachments()] == ["fattura 12.pdf", "perché no?.txt"]
    assert [part.get_payload(decode=True) for part in message.iter_attachments()] == [f.content for f in files]
    page = message.get_body(("html",))
    assert page is not None
    assert "12,50 €" in page.get_content()


def test_a_media_type_cannot_carry_a_header() -> None:
    """An attachment's type is checked like any other header."""
    file = Attachment(name="a", media_type="text/plain\r\nX-Evil: 1", content=b"")
    with pytest.raises(MailRefusedError):
        mime.build(email_content(attachments=(file,)), envelope())


def test_domains_become_idna_and_local_parts_stay() -> None:
    """RFC 5891 for the domain; a local part beyond ASCII is kept (RFC 6531) and makes the header UTF-8."""
    raw = mime.build(email_content(), envelope("marta@città.example"))
    assert b"\r\nTo: marta@xn--citt-3na.example\r\n" in raw
    raw = mime.build(email_content(), envelope("martà@città.example"))
    assert "\r\nTo: martà@xn--citt-3na.example\r\n".encode() in raw


def test_encodings_are_chosen_by_content() -> None:
    """ASCII stays readable, Italian is quoted-printable, Cyrillic is base64."""
    message = parse(mime.build(email_content(text="plain", html="Però " + "abcdefghij" * 9), envelope()))
    assert [part["Content-Transfer-Encoding"] for part in message.iter_parts()] == ["7bit", "quoted-printable"]
    message = parse(mime.build(email_content(text="x" * 999, html="привет"), envelope()))
    assert [part["Content-Transfer-Encoding"] for part in message.iter_parts()] == ["quoted-printable", "base64"]
