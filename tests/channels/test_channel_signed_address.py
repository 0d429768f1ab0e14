"""The envelope sender of one message: it leads back to the message, and nobody else can make one."""

import re

import pytest
from channels_kit import deliver_one, email_parcel, smtp_adapter
from hypothesis import given
from hypothesis import strategies as st

from outbound.channels.email.signed_address import SignedAddress
from outbound.domain.errors import ConfigurationError
from outbound.domain.keyring import Keyring
from outbound.testing.smtp_server import SmtpServer

OLD = Keyring.parse("k1:" + "11" * 32)
NEW = Keyring.parse("k2:" + "22" * 32 + ",k1:" + "11" * 32)
ADDRESS = "bounces@bounces.shop.example"
MESSAGE = "0193a1b2c3d47e5f8a9b0c1d2e3f4a5b"
MESSAGES = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(message=MESSAGES, leg=st.integers(0, 255))
def test_verp_an_envelope_sender_leads_back_to_message_and_leg(message: str, leg: int) -> None:
    """Short enough for SMTP (RFC 5321 4.5.3.1.1), the same every time, and whole again after a change of case."""
    bounces = SignedAddress(ADDRESS, OLD)
    sender = bounces.of(f"{message}.{leg}")
    assert sender == bounces.of(f"{message}.{leg}")
    local = sender.partition("@")[0]
    assert len(local) <= 64
    assert re.fullmatch(r"bounces\+[a-z2-7]{53}@bounces\.shop\.example", sender)
    for spelling in (sender, sender.upper(), sender.title(), f" {sender} "):
        assert bounces.read(spelling) == f"{message}.{leg}"


@given(
    message=MESSAGES,
    leg=st.integers(0, 255),
    at=st.integers(0, 52),
    to=st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"),
)
def test_verp_no_character_of_a_token_can_be_changed(message: str, leg: int, at: int, to: str) -> None:
    """A bounce for a message somebody guessed, or for its other leg, is not read; spare bits do not vary either."""
    bounces = SignedAddress(ADDRESS, OLD)
    local, _, domain = bounces.of(f"{message}.{leg}").partition("@")
    name, _, token = local.partition("+")
    changed = token[:at] + to + token[at + 1 :]
    assert bounces.read(f"{name}+{changed}@{domain}") == (f"{message}.{leg}" if changed == token else None)


@given(st.text(max_size=80))
def test_verp_whatever_comes_in_is_read_or_refused(text: str) -> None:
    """Nothing that arrives as a recipient raises."""
    bounces = SignedAddress(ADDRESS, OLD)
    assert bounces.read(text) is None
    assert bounces.read(f"bounces+{text}@bounces.shop.example") is None


def test_verp_keys_rotate_and_tokens_serve_one_purpose() -> None:
    """A token under an old key still reads; under a key that is gone, or signed for another purpose, it does not."""
    sender = SignedAddress(ADDRESS, OLD).of(f"{MESSAGE}.1")
    assert SignedAddress(ADDRESS, NEW).read(sender) == f"{MESSAGE}.1"
    assert SignedAddress(ADDRESS, NEW).of(f"{MESSAGE}.1") != sender
    assert SignedAddress(ADDRESS, Keyring.parse("k3:" + "33" * 32)).read(sender) is None
    assert SignedAddress("bounces@other.example", OLD).read(sender) is None
    assert SignedAddress("replies@bounces.shop.example", OLD).read(sender) is None


@pytest.mark.parametrize(
    "reference", ["", "proof-1", f"{MESSAGE}", f"{MESSAGE}.256", f"{MESSAGE}.1\r\n", f"x{MESSAGE}.1"]
)
def test_verp_what_is_no_message_has_no_token(reference: str) -> None:
    """Proofs and the like keep the address in From."""
    assert SignedAddress(ADDRESS, OLD).of(reference) == ""


@pytest.mark.parametrize("address", ["", "bounces", "elevenchars@shop.example", "a+b@shop.example", "è@shop.example"])
def test_verp_an_address_without_room_is_refused(address: str) -> None:
    """The start stops with an example of a good one, instead of mail with an envelope sender that is cut."""
    with pytest.raises(ConfigurationError) as refused:
        SignedAddress(address, OLD)
    assert "bounces@bounces.shop.example" in refused.value.remedy


def test_verp_the_server_sees_it_in_mail_from(smtp_server: SmtpServer) -> None:
    """MAIL FROM is the message's own address; From stays what people read. Without the setting it is From's."""
    bounces = SignedAddress(ADDRESS, OLD)
    for adapter in (smtp_adapter(smtp_server), smtp_adapter(smtp_server, bounces=bounces)):
        assert deliver_one(adapter, email_parcel(reference=f"{MESSAGE}.2")).kind == "accepted"
    plain, own = (entry.facts["sender"] for entry in smtp_server.accepted())
    assert plain == "news@bottega.example"
    assert bounces.read(own) == f"{MESSAGE}.2"
    assert all(b"bounces+" not in raw for raw in smtp_server.messages())
