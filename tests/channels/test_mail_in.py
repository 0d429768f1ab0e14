"""Mail that comes in: bounces by whose fault they are, complaints, machines, people, garbage (F65, F66, F67)."""

import csv
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound.channels.email.signed_address import SignedAddress
from outbound.channels.mail_in.automatic import automatic
from outbound.channels.mail_in.bounce_kinds import bounce_kind
from outbound.channels.mail_in.delivery_status import reports
from outbound.channels.mail_in.mail import Mail
from outbound.channels.mail_in.reading import Proof, read
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind
from outbound.domain.incoming import IncomingMessage
from outbound.domain.keyring import Keyring

KEYS = Keyring.parse("k1:" + "5a" * 32)
BOUNCES = SignedAddress("bounces@bounces.shop.example", KEYS)
REFERENCE = "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b.1"
OURS = BOUNCES.of(REFERENCE)
PROOF = Proof(address=lambda address: BOUNCES.read(address) or "")
BAR = 0.95

_SOFT_BY_ITS_WORDS = ("quota", "full", "too much mail", "disabled or discontinued")


def test_bounces_hard_and_soft_are_right_on_the_labelled_mails(shared_data: Path) -> None:
    """The bar: 95 %, and no hard bounce where the label says soft or policy."""
    right, wrong = 0, []
    with (shared_data / "bounces_dev" / "labels.csv").open(encoding="utf-8") as labels:
        rows = [row for row in csv.DictReader(labels) if row["reason"] != "feedback"]
    for row in rows:
        found = reports(Mail.read((shared_data / "bounces_dev" / "eml" / row["file"]).read_bytes()))
        place = int(row["index"]) - 1
        hard = place < len(found) and found[place].bounce is BounceKind.HARD
        if place < len(found) and hard == (row["hardbounce"] == "true"):
            right += 1
        else:
            wrong.append((row["file"], row["reason"], hard))
    sys.stdout.write(f"labelled bounces: {right} of {len(rows)} right\n")
    assert [one for one in wrong if one[2]] == [], "hard, and the label says otherwise"
    assert right / len(rows) >= BAR, wrong


def test_bounces_final_and_temporary_are_right_on_the_set_of_flufl(shared_data: Path) -> None:
    """The bar: 95 % of the addresses. A full or disabled mailbox that it calls permanent is never hard."""
    right, total, blamed = 0, 0, []
    with (shared_data / "bounces_flufl" / "labels.csv").open(encoding="utf-8") as labels:
        rows = list(csv.DictReader(labels))
    for row in rows:
        raw = (shared_data / "bounces_flufl" / "data" / row["file"]).read_bytes()
        found = {one.recipient.casefold(): one for one in reports(Mail.read(raw))}
        for name, final in (("temporary", False), ("permanent", True)):
            for address in row[name].casefold().split():
                one = found.get(address)
                total += 1
                if one is not None and final == (one.kind is DeliveryKind.BOUNCED):
                    right += 1
                if one is not None and one.bounce is BounceKind.HARD:
                    blamed += [(row["file"], word) for word in _SOFT_BY_ITS_WORDS if word in one.text.casefold()]
                if one is not None and not final:
                    assert one.bounce is not BounceKind.HARD, row["file"]
    sys.stdout.write(f"flufl.bounce: {right} of {total} addresses right\n")
    assert blamed == []
    assert right / total >= BAR


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("5.1.1", "550 5.1.1 user unknown", BounceKind.HARD),
        ("5.1.10", "null mx", BounceKind.HARD),
        ("5.1.1", "550 5.1.1 blocked by spamhaus", BounceKind.POLICY),
        ("5.1.1", "554 5.1.1 Recipient address rejected: Access denied", BounceKind.POLICY),
        ("5.2.1", "User unknown", BounceKind.SOFT),
        ("5.2.2", "", BounceKind.SOFT),
        ("4.1.1", "user unknown", BounceKind.SOFT),
        ("5.7.1", "user unknown", BounceKind.POLICY),
        ("5.7.26", "", BounceKind.SENDER),
        ("5.1.8", "", BounceKind.SENDER),
        ("5.3.4", "", BounceKind.SENDER),
        ("5.7.1", "relaying denied", BounceKind.SENDER),
        ("", "", BounceKind.POLICY),
        ("9.9.9", "garbage", BounceKind.POLICY),
    ],
)
def test_whose_fault_a_bounce_is(status: str, text: str, expected: BounceKind) -> None:
    """The sender's own fault and the receiver's policy never blame the address."""
    assert bounce_kind(status=status, text=text) is expected


def bounce(to: str = OURS, *, recipient: str = "ada@example.org", status: str = "5.1.1", head: str = "") -> bytes:
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.org
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <b1@mx.example.org>
Content-Type: multipart/report; report-type=delivery-status; boundary=b
MIME-Version: 1.0

--b
Content-Type: text/plain

It failed.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {recipient}
Action: failed
Status: {status}
Diagnostic-Code: smtp; 550 {status} user unknown

--b
Content-Type: text/rfc822-headers

Message-ID: <0193a1b2c3d47e5f8a9b0c1d2e3f4a5b@shop.example>
{head}
--b--
""".replace("\n", "\r\n").encode()


def test_f66_a_bounce_is_about_our_message_only_by_a_token_we_signed() -> None:
    """Swapped, forged and missing tokens: the news is kept, and is about nothing of ours."""
    (news,) = read(bounce(), proof=PROOF)
    assert isinstance(news, DeliveryEvent)
    assert (news.kind, news.bounce, news.ours, news.recipient) == (
        DeliveryKind.BOUNCED,
        BounceKind.HARD,
        REFERENCE,
        "ada@example.org",
    )
    other = Keyring.parse("k1:" + "11" * 32)
    forged = SignedAddress("bounces@bounces.shop.example", other).of(REFERENCE)
    swapped = OURS[:20] + ("a" if OURS[20] != "a" else "b") + OURS[21:]
    for to in (forged, swapped, "bounces@bounces.shop.example", "news@shop.example"):
        (news,) = read(bounce(to), proof=PROOF)
        assert isinstance(news, DeliveryEvent)
        assert news.ours == "", to


def test_f66_an_answer_is_about_our_message_by_a_signed_reply_to_which_proves_no_bounce() -> None:
    """F66: its headers may be lost; a forged token, one of a bounce, and a bounce sent to it lead nowhere."""
    replies = SignedAddress("reply@replies.shop.example", KEYS, "reply")
    proof = Proof(address=lambda one: BOUNCES.read(one) or "", reply=lambda one: replies.read(one) or "")

    def answer(to: str) -> str:
        mail = f"From: Ada <ada@example.org>\r\nTo: {to}\r\nSubject: =?broken\r\n\r\nThank you\r\n".encode()
        (news,) = read(mail, proof=proof)
        assert isinstance(news, IncomingMessage)
        return news.ours

    ours = replies.of(REFERENCE)
    assert answer(f'"Shop" <{ours.upper()}>') == REFERENCE
    local, _, domain = ours.partition("@")
    forged = SignedAddress("reply@replies.shop.example", Keyring.parse("k1:" + "11" * 32), "reply").of(REFERENCE)
    of_bounce = SignedAddress("reply@replies.shop.example", KEYS).of(REFERENCE)
    for to in (forged, of_bounce, f"{local[:-1]}@{domain}", "reply@replies.shop.example"):
        assert answer(to) == "", to
    (news,) = read(bounce(ours), proof=proof)
    assert isinstance(news, DeliveryEvent)
    assert news.ours == ""


def test_a_bounce_is_ours_by_the_signed_unsubscribe_link_of_the_mail_it_returns() -> None:
    proof = Proof(link=lambda url: REFERENCE if url == "https://shop.example/u/TOKEN" else "")
    signed = "List-Unsubscribe: <https://shop.example/u/TOKEN>"
    (news,) = read(bounce("news@shop.example", head=signed), proof=proof)
    assert isinstance(news, DeliveryEvent)
    assert news.ours == REFERENCE


def test_f67_abuse_reports_are_complaints_and_an_opt_out_is_one(shared_data: Path) -> None:
    raw = (shared_data / "bounces_dev" / "eml" / "arf-25.eml").read_bytes()
    (news,) = read(raw, proof=PROOF)
    assert isinstance(news, DeliveryEvent)
    assert (news.kind, news.recipient) == (DeliveryKind.COMPLAINED, "hashed@example.com")
    (ours,) = read(
        raw.replace(b"Original-Mail-From: alice@example.com", f"Original-Mail-From: {OURS}".encode()), proof=PROOF
    )
    assert isinstance(ours, DeliveryEvent)
    assert ours.ours == REFERENCE
    (asked,) = read((shared_data / "bounces_dev" / "eml" / "arf-26.eml").read_bytes(), proof=PROOF)
    assert isinstance(asked, IncomingMessage)
    assert (asked.subject, asked.automatic) == ("unsubscribe", "")


def written(*head: str, text: str = "Where is my parcel?") -> bytes:
    lines = ("From: Ada <ada@example.org>", "To: hello@shop.example", "Message-ID: <r1@example.org>", *head, "", text)
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; owner=x",
        "Return-Path: <>",
        "Precedence: bulk",
        "Precedence: auto_reply",
        "X-Autoreply: yes",
        "X-Autorespond: vacation",
        "List-Id: <news.example.org>",
        "Subject: Automatic reply: Your order",
        "Subject: Out of office: Re: Your order",
        "Subject: Risposta automatica: Il tuo ordine",
        "Subject: Abwesenheitsnotiz",
    ],
)
def test_f65_a_machine_is_no_person(head: str) -> None:
    """RFC 3834 and what machines do instead; at our bounce address it is news about the message."""
    assert automatic(Mail.read(written(head)))
    (news,) = read(written(head), proof=PROOF)
    assert isinstance(news, IncomingMessage)
    assert news.automatic
    (about,) = read(written(head).replace(b"To: hello@shop.example", f"To: {OURS}".encode()), proof=PROOF)
    assert isinstance(about, DeliveryEvent)
    assert (about.kind, about.ours) == (DeliveryKind.AUTORESPONDED, REFERENCE)


def test_what_a_person_writes_is_read_with_what_it_answers() -> None:
    head = (
        "Subject: =?utf-8?q?Re=3A_Il_tuo_ordine_=C3=A8_partito?=",
        "Auto-Submitted: no",
        "In-Reply-To: <0193a1b2c3d47e5f8a9b0c1d2e3f4a5b@shop.example>",
        "References: <first@shop.example> <0193a1b2c3d47e5f8a9b0c1d2e3f4a5b@shop.example>",
        "Date: Mon, 30 Nov 2026 10:00:00 +0100",
    )
    (news,) = read(written(*head), proof=PROOF)
    assert isinstance(news, IncomingMessage)
    assert (news.sender, news.subject, news.automatic) == ("ada@example.org", "Re: Il tuo ordine è partito", "")
    assert news.references == ("<0193a1b2c3d47e5f8a9b0c1d2e3f4a5b@shop.example>", "<first@shop.example>")
    assert news.at is not None
    assert news.at.hour == 9


def test_a_person_who_quotes_a_bounce_has_not_bounced() -> None:
    text = "Hi, I got this:\n> The following address(es) failed:\n>   ada@example.org\n>     550 user unknown\n"
    (news,) = read(written("Subject: fwd", text=text), proof=PROOF)
    assert isinstance(news, IncomingMessage)


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=400))
def test_garbage_is_read_as_something(raw: bytes) -> None:
    assert read(raw, proof=PROOF)


SEEDS = (bounce(), written("Subject: x"), bounce(head="List-Unsubscribe: <https://x.example/u/y>"))


@settings(max_examples=200, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=0, max_size=12)), min_size=1, max_size=8),
)
def test_mangled_mail_is_read_as_something(seed: bytes, edits: list[tuple[int, bytes]]) -> None:
    """Bytes of real mails replaced, removed and inserted: broken encodings, boundaries, charsets, dates, addresses."""
    raw = bytearray(seed)
    for place, new in edits:
        at = place % len(raw)
        raw[at : at + len(new)] = new
    for news in read(bytes(raw), proof=PROOF):
        assert "\0" not in (news.text if isinstance(news, IncomingMessage) else news.response)


@pytest.mark.parametrize(
    "raw",
    [
        b"From: x\r\nContent-Type: text/plain; charset=nonsense\r\n\r\n\xff\xfe",
        b"From: =?utf-8?b?////?= <a@b>\r\nSubject: =?x-none?q?=ff?=\r\nDate: yesterday\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n\r\n\r\n",
        b"Content-Type: message/feedback-report\r\n\r\n",
        b"Date: Mon, 99 Foo 20260 99:99:99 +9999\r\n\r\n",
        b"From: " + b"<" * 5000 + b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
        + b"--a\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n" * 2000,
    ],
)
def test_crafted_mail_is_read_as_something(raw: bytes) -> None:
    assert read(raw, proof=PROOF)
