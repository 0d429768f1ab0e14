"""E-mail addresses and phone numbers, normalised: the same answers as their libraries, sooner."""

import re
from functools import lru_cache
from typing import Final

from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES

from outbound.domain.customer import AddressState
from outbound.services.imports.values import Invalid

_PLAIN_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_MAX_LOCAL: Final = 64
_MAX_ADDRESS: Final = 254


def read_email(text: str) -> str:
    """The address with its local part as given (NFC) and its domain in lower-case ASCII. Raises Invalid.

    Syntax of RFC 5321 and RFC 6531, without DNS. A plain ASCII local part needs no library, and the domain
    of an address is checked once for all who share it (50 µs against 1 µs).
    """
    local, _, domain = text.rpartition("@")
    if (
        len(local) <= _MAX_LOCAL
        and _PLAIN_LOCAL.fullmatch(local)
        and local.lower() not in CASE_INSENSITIVE_MAILBOX_NAMES
    ):
        checked = _domain(domain)
        if checked and len(local) + len(checked) < _MAX_ADDRESS:
            return f"{local}@{checked}"
    try:
        found = validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        raise Invalid(str(error).rstrip(".")) from None
    return f"{found.local_part}@{found.ascii_domain}"


@lru_cache(maxsize=16_384)
def _domain(domain: str) -> str:
    try:
        return validate_email(f"x@{domain}", check_deliverability=False).ascii_domain
    except EmailNotValidError:
        return ""


def read_phone(text: str, country: str | None) -> tuple[str, AddressState]:
    """The number as E.164. Possible but not valid (an unassigned prefix) is ``unreachable``. Raises Invalid.

    ``country`` is needed for numbers without a ``+``.
    """
    found = _phone(text, country)
    if isinstance(found, str):
        raise Invalid(found)
    return found


@lru_cache(maxsize=4_096)
def _phone(text: str, country: str | None) -> tuple[str, AddressState] | str:
    # its metadata takes a tenth of a second to load, and many imports have no phone
    import phonenumbers  # noqa: PLC0415 - see above

    if country is None and not text.startswith(("+", "\uff0b", "tel:+")):
        return "no country is known for a number without + (map country, or write country: on the field)"
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            return f"{country or 'the prefix'} is not a country with phone numbers"
        return "not a phone number"
    if not phonenumbers.is_possible_number(number):
        return f"not a possible phone number{f' in {country}' if country else ''}"
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return value, AddressState.OK if phonenumbers.is_valid_number(number) else AddressState.UNREACHABLE
