"""DKIM: what we sign, a verifier that is not ours accepts; what somebody changed, it refuses."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dkim
import pytest
from channels_kit import NOW, URL, deliver_one, email_content, email_parcel, envelope, smtp_adapter
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbound.channels.email import mime
from outbound.channels.email.dkim import SIGNED, Signer, _canonical_body, _canonical_headers
from outbound.channels.email.dkim_keys import DkimKey, keys_in, load_key
from outbound.domain.errors import ConfigurationError
from outbound.testing.smtp_server import SmtpServer

DOMAIN = "bottega.example"


@cache
def rsa() -> DkimKey:
    return DkimKey(domain=DOMAIN, selector="k1", private=generate_private_key(65537, 2048))


@cache
def ed25519() -> DkimKey:
    return DkimKey(domain=DOMAIN, selector="e1", private=Ed25519PrivateKey.generate())


def signer() -> Signer:
    return Signer((rsa(), ed25519()))


@dataclass
class Zone:
    """What DNS would answer: exactly the records that `outbound doctor --dkim` prints."""

    keys: tuple[DkimKey, ...]

    def __call__(self, name: bytes, timeout: int = 5) -> bytes | None:  # noqa: ARG002 - dkimpy's signature
        records = {f"{key.record_name}.".encode(): key.record.encode() for key in self.keys}
        return records.get(name)


def verifies(raw: bytes) -> list[bool]:
    """The judgement of dkimpy on each signature of the mail, the upper one first."""
    count = len(re.findall(rb"(?m)^DKIM-Signature:", raw.partition(b"\r\n\r\n")[0]))
    zone = Zone((rsa(), ed25519()))
    verdicts = []
    for index in range(count):
        try:
            verdicts.append(dkim.DKIM(raw, minkey=1024).verify(idx=index, dnsfunc=zone))
        except dkim.DKIMException:
            verdicts.append(False)
    return verdicts


def mail(**changes: Any) -> bytes:
    return mime.build(email_content(**changes), envelope())


LINES = st.lists(
    st.one_of(
        st.sampled_from(["", " ", "\t", "  \t ", ".", "..", "a " * 600, "x" * 1200, "<p>  due  spazi </p>", "fine\t"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    ),
    max_size=12,
).map("\n".join)


@settings(max_examples=60, deadline=None)
@given(text=LINES, page=LINES, subject=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=90))
@example(text="", page="", subject="")
@example(text="fine\n\n\n\n", page="\n\n \n\t\n", subject="  due  spazi  ")
@example(text="x" * 5000, page="è" * 5000, subject="x" * 300)
def test_dkim_both_signatures_verify_whatever_the_mail(text: str, page: str, subject: str) -> None:
    """C02: RSA-2048 and ed25519 both verify with dkimpy for any subject and body; the mail itself is untouched."""
    raw = mail(text=text, html=page, subject=subject)
    signed = signer().signed(raw)
    assert verifies(signed) == [True, True]
    assert signed.endswith(b"\r\n" + raw)
    head = signed[: -len(raw)]
    assert head.isascii()
    assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 78


RAW_BODIES = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b"a", b".", b"b  c", "è".encode(), b"\x0b"]), max_size=20
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(body=RAW_BODIES)
@example(body=b"")
@example(body=b"\r\n\r\n")
@example(body=b" \t\r\n \r\n")
@example(body=b"no end")
def test_dkim_bodies_have_the_canonical_form_of_rfc_6376(body: bytes) -> None:
    """RFC 6376 3.4.4, written out a second time by the letter, agrees on every mix of spaces, tabs and empty lines."""
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert _canonical_body(body) == b"".join(line + b"\r\n" for line in lines)


def test_dkim_the_examples_of_rfc_6376_3_4_5() -> None:
    """The RFC's own example of relaxed headers and body, byte for byte."""
    head, _, body = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n".partition(b"\r\n\r\n")
    assert _canonical_headers(head) == {b"a": [b"a:X"], b"b": [b"b:Y Z"]}
    assert _canonical_body(body) == b" C\r\nD E\r\n"


def test_dkim_the_mail_of_rfc_8463_verifies_what_the_rfc_signed() -> None:
    """RFC 8463 A: our ed25519 signature over our canonical form is the one a verifier accepts for its key."""
    seed = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = DkimKey(
        domain="football.example.com", selector="brisbane", private=Ed25519PrivateKey.from_private_bytes(seed)
    )
    assert key.record == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    raw = (
        b"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n"
        b"Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
        b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n"
        b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    )
    signed = Signer((key,)).signed(raw)
    assert b"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;" in signed  # the hash printed in the RFC
    assert dkim.DKIM(signed).verify(dnsfunc=Zone((key,)))


def test_dkim_signs_what_it_must_and_seals_what_may_occur_once() -> None:
    """C02, RFC 8058 4: the List-* headers stand in h=; From, Subject and others are named once more than they occur."""
    signed = signer().signed(mail())
    first = signed.partition(b"\r\nDKIM-Signature:")[0].replace(b"\r\n ", b"")
    found = re.search(rb"; ?h=([a-z:-]+);", first)
    assert found is not None
    names = found[1].split(b":")
    assert set(names) == set(SIGNED)
    assert {name for name in names if names.count(name) == 2} == {
        *(b"from", b"to", b"subject", b"date", b"reply-to", b"content-type"),
    }
    assert b"c=relaxed/relaxed" in first
    assert not re.search(rb"\b[txl]=", first.replace(b"bh=", b"").partition(b"; b=")[0])


CHANGES: list[Callable[[bytes], bytes]] = [
    lambda raw: raw.replace(b"12,50", b"99,50"),
    lambda raw: raw + b"more\r\n",
    lambda raw: raw.replace(URL.encode(), b"https://evil.example/u"),
    lambda raw: raw.replace(b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Click"),
    lambda raw: raw.replace(b"\r\nDate:", b"\r\nFrom: boss@evil.example\r\nDate:", 1),
    lambda raw: b"Subject: another\r\n" + raw,
    lambda raw: b"From: boss@evil.example\r\n" + raw,
    lambda raw: b"Reply-To: boss@evil.example\r\n" + raw,
    lambda raw: b"Content-Type: text/plain\r\n" + raw,
    lambda raw: raw.replace(b"List-Id: <news", b"List-Id: <other"),
    lambda raw: re.sub(rb"Message-ID: <\S+>", b"Message-ID: <x@y>", raw),
]


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_dkim_a_change_on_the_way_breaks_both_signatures(number: int) -> None:
    """What is signed cannot be changed, replaced or doubled without a verifier seeing it."""
    signed = signer().signed(mail())
    changed = CHANGES[number](signed)
    assert changed != signed
    assert verifies(signed) == [True, True]
    assert not any(verifies(changed))


def test_dkim_survives_what_relays_may_do() -> None:
    """Folding, spaces and trace headers that a relay adds leave relaxed signatures valid."""
    signed = signer().signed(mail())
    relayed = b"Received: from a by b\r\nX-Spam: no\r\n" + signed.replace(
        b"MIME-Version: 1.0", b"mime-version:   1.0  "
    )
    assert verifies(relayed + b"\r\n\r\n") == [True, True]


def test_dkim_the_same_mail_is_signed_with_the_same_bytes() -> None:
    """Delivery 2.2: a repeated mail leaves as the same bytes; no time and no random number is in a signature."""
    raw = mail()
    assert signer().signed(raw) == Signer((rsa(), ed25519())).signed(raw)
    later = mime.build(email_content(), envelope(date=NOW + timedelta(days=1)))
    assert signer().signed(later) != signer().signed(raw)


def test_dkim_only_the_domain_in_from_is_signed_for() -> None:
    """A mail from another domain, or from a domain below ours, goes as it is: d= must be the domain people see."""
    for sender in ("Altro <a@other.example>", "a@news.bottega.example", '"x@bottega.example" <a@other.example>'):
        raw = mail(sender=sender)
        assert signer().signed(raw) == raw
    assert verifies(signer().signed(mail(sender="A <NEWS@Bottega.EXAMPLE>"))) == [True, True]


def test_dkim_a_domain_beyond_ascii_signs_in_idna() -> None:
    """The key of città.example signs for xn--citt-3na.example, which is what From says on the wire."""
    key = load_key(domain="Città.example", selector="K1", key_file=None, environment={"k1@xn--citt-3na.example": der()})
    raw = mail(sender="Bottega <ciao@città.example>")
    signed = Signer((key,)).signed(raw)
    assert b"d=xn--citt-3na.example; s=k1;" in signed
    assert dkim.DKIM(signed).verify(dnsfunc=Zone((key,)))


def test_dkim_an_address_beyond_ascii_is_signed_as_it_stands() -> None:
    """RFC 6532: UTF-8 in To is signed as the bytes it is; ed25519 and RSA agree with the verifier."""
    raw = mime.build(email_content(), envelope("martà@example.it"))
    assert verifies(signer().signed(raw)) == [True, True]


def test_dkim_what_leaves_over_smtp_verifies(smtp_server: SmtpServer) -> None:
    """The server gets the signature and the frozen bytes; dots at line starts do not break either."""
    adapter = smtp_adapter(smtp_server, signer=signer())
    raw = mail(text=".\n..\n.hidden\n\n\n", html="<p>.</p>\n.")
    assert deliver_one(adapter, email_parcel(payload=raw)).kind == "accepted"
    (arrived,) = smtp_server.messages()
    assert arrived.endswith(raw)
    assert verifies(arrived) == [True, True]


def pem(private: Any) -> bytes:
    octets = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert isinstance(octets, bytes)
    return octets


def der() -> str:
    octets = rsa().private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(octets).decode()


def from_file(path: Path) -> DkimKey:
    return load_key(domain=DOMAIN, selector="k1", key_file=path, environment={})


@pytest.mark.parametrize("make", [rsa, ed25519], ids=["rsa", "ed25519"])
def test_dkim_a_key_comes_from_a_private_file_or_the_environment(make: Callable[[], DkimKey], tmp_path: Path) -> None:
    """Both ways give the same key; a file that others can read is refused with the remedy."""
    path = tmp_path / "key.pem"
    path.write_bytes(pem(make().private))
    path.chmod(0o600)
    assert from_file(path).record == make().record
    octets = make().private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    variable = f"K1@{DOMAIN}:{base64.b64encode(octets).decode()}, other@x.example:AAAA"
    found = load_key(domain=DOMAIN, selector="k1", key_file=None, environment=keys_in(variable))
    assert found.record == make().record
    path.chmod(0o640)
    with pytest.raises(ConfigurationError, match="can be read by others") as refused:
        from_file(path)
    assert refused.value.remedy == f"chmod 600 {path}"


@pytest.mark.parametrize("case", ["short", "curve", "password", "public", "garbage", "missing"])
def test_dkim_an_unusable_key_is_refused_and_never_printed(case: str, tmp_path: Path) -> None:
    """Weak, foreign, locked and broken keys stop the start, with a remedy and without a word of the key."""
    path = tmp_path / "key.pem"
    content = {
        "short": lambda: pem(generate_private_key(65537, 1024)),  # noqa: S505 - the one that is refused
        "curve": lambda: pem(generate_ec(SECP256R1())),
        "password": lambda: b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIC\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "public": lambda: b"-----BEGIN PUBLIC KEY-----\nMIIC\n-----END PUBLIC KEY-----\n",
        "garbage": lambda: b"canary",
    }
    if case in content:
        path.write_bytes(content[case]())
        path.chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        from_file(path)
    said = f"{refused.value.message} {refused.value.remedy}"
    assert "canary" not in said
    assert refused.value.remedy
    assert "private" not in repr(rsa())


def test_dkim_names_that_cannot_stand_in_dns_are_refused() -> None:
    """A selector or domain that would break out of the header stops the start, as does a key that is not there."""
    for domain, selector in ((DOMAIN, "k1;"), (DOMAIN, ""), (DOMAIN, "k1\r\nX: y"), ("a b", "k1"), ("", "k1")):
        with pytest.raises(ConfigurationError):
            load_key(domain=domain, selector=selector, key_file=None, environment={f"{selector}@{domain}": der()})
    with pytest.raises(ConfigurationError, match=r"no key for selector k2 of bottega\.example"):
        load_key(domain=DOMAIN, selector="k2", key_file=None, environment=keys_in(f"k1@{DOMAIN}:{der()}"))


def test_dkim_the_record_fits_dns_and_is_compared_with_what_is_published() -> None:
    """A zone line holds strings of at most 255 characters that join to the record; a wrong record is named."""
    assert isinstance(rsa().private, RSAPrivateKey)
    name, _, rest = rsa().zone_line.partition(" IN TXT ")
    strings = re.findall(r'"([^"]*)"', rest)
    assert name == f"k1._domainkey.{DOMAIN}."
    assert "".join(strings) == rsa().record
    assert len(strings) == 2
    assert max(map(len, strings)) <= 255
    assert [rsa().kind, ed25519().kind] == ["RSA-2048", "ed25519"]
    assert rsa().compare(rsa().record) == ""
    assert rsa().compare(rsa().record.replace("k=rsa; ", "").replace("p=", "p= ")) == ""
    assert rsa().compare("") == "not published"
    assert rsa().compare("v=DKIM1; k=rsa; p=") == "revoked in DNS"
    assert rsa().compare(ed25519().record) == "another key is published"
