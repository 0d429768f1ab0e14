"""Unsubscribe links: signed, bound to one purpose, and exact to the bit (faults F71, F82)."""

from hypothesis import given
from hypothesis import strategies as st

from outbound.domain.keyring import Keyring
from outbound.services.links import LinkMaker, MessageLink

MESSAGE = "01a20cad174073828293d1ba4e2ac211"
OLD, NEW = "k1:" + "11" * 32, "k2:" + "22" * 32


def links(keys: str = OLD) -> LinkMaker:
    return LinkMaker(Keyring.parse(keys), "https://news.shop.example/")


def token(maker: LinkMaker, customer_id: str = "c-1") -> str:
    url = maker.unsubscribe(customer_id=customer_id, topic="newsletter", channel="email", message_id=MESSAGE)
    assert url.startswith("https://news.shop.example/u/")
    return url.removeprefix("https://news.shop.example/u/")


@given(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])))
def test_a_token_reads_back_whatever_the_customer_id(customer_id: str) -> None:
    expected = MessageLink(customer_id=customer_id, topic="newsletter", channel="email", message_id=MESSAGE)
    assert links().read_unsubscribe(token(links(), customer_id)) == expected


def test_a_flipped_bit_anywhere_opens_nothing() -> None:
    good = token(links())
    for position, character in enumerate(good):
        for bit in range(7):
            bad = good[:position] + chr(ord(character) ^ (1 << bit)) + good[position + 1 :]
            assert links().read_unsubscribe(bad) is None, (position, bit)


def test_truncated_swapped_and_foreign_tokens_open_nothing() -> None:
    good, other = token(links()), token(links(), "c-2")
    assert all(links().read_unsubscribe(good[:length]) is None for length in range(len(good)))
    assert links().read_unsubscribe(good[:-22] + other[-22:]) is None
    assert links("k1:" + "33" * 32).read_unsubscribe(good) is None


def test_a_signature_for_another_purpose_is_no_unsubscribe() -> None:
    maker = links()
    key_id, signature = maker.keyring.sign("preferences|k1", b"c-1\x1fnewsletter\x1femail\x1fm1")
    assert not maker.keyring.verify("unsubscribe|k1", b"c-1\x1fnewsletter\x1femail\x1fm1", key_id, signature)


def test_links_outlive_a_key_rotation() -> None:
    """They never expire (C06)."""
    assert links(f"{NEW},{OLD}").read_unsubscribe(token(links(OLD))) is not None
    assert links(NEW).read_unsubscribe(token(links(OLD))) is None
