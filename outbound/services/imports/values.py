"""Reading one cell: the declared type decides what a text means, and every refusal says why."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from outbound.domain.condition import ValueType
from outbound.domain.customer import ChannelName, Scalar
from outbound.domain.rule import Field
from outbound.engine.rulefiles.findings import did_you_mean
from outbound.engine.timing.walls import resolve_wall
from outbound.engine.timing.zones import zone_named, zone_names
from outbound.services.imports.mapping import Source

SENTINELS: Final = frozenset(
    {date(1970, 1, 1), date(1900, 1, 1), date(1899, 12, 30), date(1899, 12, 31), date(1, 1, 1), date(9999, 12, 31)}
)
"""Dates that databases and spreadsheets write for "nothing" (rules.md 1.9)."""

_TRUE: Final = frozenset({"true", "t", "yes", "y", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0"})
_INTEGER: Final = re.compile(r"[+-]?\d{1,15}")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_ISO_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)([T ].*)?", re.ASCII)
_LISTED: Final = 8
_DATE_WIDTH: Final = 10

Read = Callable[[str], Scalar]
"""From a stripped, non-empty text to the value. Raises Invalid."""


class Invalid(ValueError):  # noqa: N818 - a refusal with a reason, never shown as an error
    """The text is not a value of the type; the message is the reason for the report."""


def reader(name: str, source: Source, declared: Field) -> Read:
    """How cells become values of the customer attribute ``name`` (email and phone are read elsewhere)."""
    reserved = {"country": _country, "language": _language, "timezone": _timezone}.get(name)
    if reserved is None:
        return by_type(source, declared)
    if not declared.values:
        return reserved
    member = _member(declared.values)
    return lambda text: member(str(reserved(text)))


def preference_reader(name: str, source: Source) -> Read:
    """How cells become a stated preference."""
    if name == "channel":
        return _member(tuple(ChannelName))
    if name.startswith("pause"):
        return lambda text: _date(text, source.format)
    if name == "frequency":
        return _member(("fewer",))
    return _clock


def by_type(source: Source, declared: Field) -> Read:
    """How cells become values of a declared type."""
    match declared.type:
        case ValueType.NUMBER:
            return lambda text: _number(text, source.decimal)
        case ValueType.BOOL:
            true, false = source.true or _TRUE, source.false or _FALSE
            return lambda text: _bool(text, true, false)
        case ValueType.DATE:
            return lambda text: _date(text, source.format)
        case ValueType.ENUM:
            return _member(declared.values)
        case _:
            return str


@lru_cache(maxsize=8192)
def read_instant(text: str, form: str, zone: str) -> datetime:
    """An instant in UTC; a time without an offset is wall clock in ``zone``. Raises Invalid."""
    try:
        moment = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007 - zone below
    except ValueError:
        raise Invalid(f"not a time ({form or 'ISO 8601'})") from None
    if moment.date() in SENTINELS:
        raise Invalid("a date that stands for nothing")
    try:
        return resolve_wall(moment, zone_named(zone)) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise Invalid("a time outside the calendar") from None


@lru_cache(maxsize=8192)
def _date(text: str, form: str) -> str:
    try:
        if form:
            day = datetime.strptime(text, form).date()  # noqa: DTZ007 - a date has no zone
        else:
            match = _ISO_DATE.fullmatch(text)
            if match is None:
                raise Invalid("not a date (2026-11-22, or write format:)")
            day = date.fromisoformat(match[1])
    except Invalid:
        raise
    except ValueError:
        raise Invalid(f"not a date ({form or '2026-11-22'})") from None
    if day in SENTINELS:
        raise Invalid("a date that stands for nothing")
    return day.isoformat()


def _number(text: str, decimal: str) -> float | int:
    if decimal == ",":
        if "." in text:
            raise Invalid("not a number with a decimal comma")
        text = text.replace(",", ".")
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise Invalid("not a number" + (' (write decimal: ",")' if "," in text else ""))
    return float(text)


def _bool(text: str, true: frozenset[str], false: frozenset[str]) -> bool:
    word = text.lower()
    if word in true:
        return True
    if word in false:
        return False
    raise Invalid(f"neither {_listed(sorted(true))} nor {_listed(sorted(false))}")


def _member(values: tuple[str, ...]) -> Read:
    known = {str(value): str(value) for value in values}

    def read(text: str) -> str:
        found = known.get(text)
        if found is None:
            near = did_you_mean(text, known) if len(text) <= _LISTED * 4 else ""
            raise Invalid(f"not one of {_listed(list(known))}" + (f": {near}" if near.startswith("did") else ""))
        return found

    return read


def _country(text: str) -> str:
    code = text.upper()
    if not _COUNTRY.fullmatch(code):
        raise Invalid("not a country code (ISO 3166, two letters)")
    return code


def _language(text: str) -> str:
    tag = text.replace("_", "-")
    tag = tag[:3].lower() + tag[3:]
    if not _LANGUAGE.fullmatch(tag):
        raise Invalid("not a language tag (it, en-GB)")
    return tag


def _timezone(text: str) -> str:
    if text not in zone_names():
        raise Invalid("not a zone (Europe/Rome)")
    return text


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise Invalid('not a time of day ("22:00")')
    return text


def _listed(words: list[str]) -> str:
    return ", ".join(words[:_LISTED]) + (" ..." if len(words) > _LISTED else "")
