"""Money adds up in whole millionths and prints with the digits that matter."""

from dataclasses import replace

import pytest
from ladder_people import EMAIL, POLICY, PUSH, SMS

from outbound.domain.money import millionths, money_text
from outbound.domain.policy import ChannelPolicy
from outbound.engine.costs import currency_of, price

PRICED = replace(
    POLICY,
    channels={
        PUSH: ChannelPolicy(cost={"default": 0.0}, currency="EUR"),
        EMAIL: ChannelPolicy(cost={"default": 0.0004}, currency="EUR"),
        SMS: ChannelPolicy(cost={"DE": 0.075, "default": 0.09}, currency="EUR", max_parts=2),
    },
)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "EUR 0.00"),
        (17_240_000, "EUR 17.24"),
        (17_245_000, "EUR 17.25"),
        (400, "EUR 0.0004"),
        (9_900, "EUR 0.0099"),
        (10_000, "EUR 0.01"),
        (7, "EUR 0.000007"),
        (1_234_567_890_000, "EUR 1,234,567.89"),
    ],
)
def test_an_amount_prints_to_the_cent_and_below_a_cent_with_four_digits(amount: int, text: str) -> None:
    """17.245 is exact in millionths and rounds up, as people round."""
    assert money_text(amount, "EUR") == text


def test_a_million_small_amounts_are_exact() -> None:
    """As floats a million times 0.0004 is not 400."""
    assert sum(millionths(0.0004) for _ in range(1_000_000)) == millionths(400)


def test_an_sms_costs_its_segments_in_the_country_of_the_customer() -> None:
    assert price(PRICED, SMS, "DE") == 75_000
    assert price(PRICED, SMS, "DE", parts=2) == 150_000
    assert price(PRICED, SMS, "IT", parts=2) == 180_000
    assert price(PRICED, SMS, None) == 90_000
    assert price(PRICED, EMAIL, "DE", parts=2) == 400  # a mail has no segments
    assert (price(PRICED, PUSH, "DE"), price(POLICY, EMAIL, "DE")) == (0, 0)
    assert (currency_of(PRICED), currency_of(POLICY)) == ("EUR", "")
