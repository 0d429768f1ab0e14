"""The quick ways of reading addresses give the answers of the libraries behind them."""

import random
from pathlib import Path

import phonenumbers
import pytest
from email_validator import EmailNotValidError, validate_email

from outbound.domain.customer import AddressState
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.values import Invalid


def _library_email(text: str) -> str | None:
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


def _ours(text: str) -> str | None:
    try:
        return read_email(text)
    except Invalid:
        return None


@pytest.mark.parametrize(
    "text",
    [
        "ada@shop.example",
        "Ada.Lovelace+x@Shop.Example",
        "postmaster@shop.example",
        "POSTMASTER@shop.example",
        "josé1@adventure-works.com",
        "ada@münchen.example",
        "ada@MÜNCHEN.example",
        "用户@例子.example",
        "a" * 64 + "@shop.example",
        "a" * 65 + "@shop.example",
        "ada@" + "a" * 60 + "." + ("b" * 60 + ".") * 3 + "example",
        "ada@shop",
        "ada@-shop.example",
        "ada@shop..example",
        "ada@shop.example.",
        "ada@localhost",
        "ada@[127.0.0.1]",
        ".ada@shop.example",
        "ada.@shop.example",
        "a..da@shop.example",
        "a da@shop.example",
        '"a da"@shop.example',
        "ada@@shop.example",
        "@shop.example",
        "ada@",
        "ada",
        "ada@shop.example\n",
        "ada\r\nBcc: x@shop.example",
        "Ada <ada@shop.example>",
        "ada@xn--mnchen-3ya.example",
        "ada@invalid",
        "ada@x.test",
        "ada@sho\u200bp.example",
        "a\u0301da@shop.example",
    ],
)
def test_an_email_address_is_read_as_the_library_reads_it(text: str) -> None:
    assert _ours(text) == _library_email(text)


def test_random_addresses_are_read_as_the_library_reads_them() -> None:
    rng = random.Random(7)  # noqa: S311 - a repeatable test
    letters = 'aZ09.-_+@!#é "(<,'
    for _ in range(1500):
        text = "".join(rng.choices(letters, k=rng.randint(1, 12))) + rng.choice(["@shop.example", "@Shop.Example", ""])
        assert _ours(text) == _library_email(text), text


def _library_phone(text: str, country: str | None) -> tuple[str, AddressState] | None:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    state = AddressState.OK if phonenumbers.is_valid_number(number) else AddressState.UNREACHABLE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), state


def _our_phone(text: str, country: str | None) -> tuple[str, AddressState] | None:
    try:
        return read_phone(text, country)
    except Invalid:
        return None


def test_every_adventureworks_phone_in_every_country_it_may_be_in(shared_data: Path) -> None:
    """A sample of every format and country, and each distinct number once."""
    content = (shared_data / "adventureworks" / "ms_PersonPhone.csv").read_text("utf-8")
    numbers = sorted({row.split("+|")[1] for row in content.split("&|\n") if row})
    assert len(numbers) > 9_000
    countries = ("US", "CA", "AU", "GB", "FR", "DE")
    for place, number in enumerate(numbers):
        country = countries[place % len(countries)]
        for text in (number, number.removeprefix("1 (11) ")) if place % 5 == 0 else (number,):
            assert _our_phone(text, country) == _library_phone(text, country), (text, country)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("+39 340 123 4567", None),
        ("0039 340 1234567", "IT"),
        ("(02) 1234 5678", "IT"),
        ("tel:+39-340-1234567", None),
        ("020 7946 0958", "GB"),
        ("+44 20 7946 0958 ext. 12", None),
        ("12", "IT"),
        ("nonsense", "IT"),
        ("340 1234567", "XX"),
        ("340 1234567", None),
        ("+999 123456", None),
    ],
)
def test_a_phone_number_is_read_as_the_library_reads_it(text: str, country: str | None) -> None:
    assert _our_phone(text, country) == _library_phone(text, country)
