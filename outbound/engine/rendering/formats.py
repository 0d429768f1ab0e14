"""Dates, times, amounts and numbers as a reader of one language writes them (CLDR through Babel)."""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import Undefined

_CACHED = 4096
_LONGEST_URL = 2000
_LARGEST_AMOUNT = 1e15
_STYLES = ("short", "medium", "long", "full")
_PATTERN = re.compile(r"[EdMLyQ .,/'a-z-]{1,30}")
_SCHEMES = ("https", "http", "mailto", "tel")
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})


class Stop(Exception):  # noqa: N818 -- not an error of the program: it becomes a RenderStop
    """This value cannot be shown, and so this one message is not rendered. The text never carries the value."""


class _Formats:
    """The filters of one locale. ``plain_spaces`` writes U+00A0 as a blank, which GSM 7 bit can carry."""

    def __init__(self, locale: str, *, plain_spaces: bool) -> None:
        self._locale = Locale.parse(locale)
        self._plain_spaces = plain_spaces

    def money(self, value: Any, currency: Any) -> str:
        """An amount of money; 36.4 in EUR is 36,40 € to an Italian."""
        code = _text(currency, "money")
        if not re.fullmatch("[A-Z]{3}", code):
            raise Stop("money needs a currency such as 'EUR'")
        return self._spaces(_money(self._locale, _number(value, "money"), code))

    def number(self, value: Any, decimals: int | None = None) -> str:
        """A figure with thousands and decimals marked; with ``decimals`` always that many."""
        if decimals is not None and decimals not in range(7):
            raise Stop("number takes 0 to 6 decimals")
        return self._spaces(_decimal(self._locale, _number(value, "number"), decimals))

    def date(self, value: Any, style: str = "long") -> str:
        """A day: ``'2026-11-24' | date`` is 24 novembre 2026. Styles short, medium, long, full, or a CLDR pattern."""
        if style not in _STYLES and not _PATTERN.fullmatch(style):
            raise Stop("date takes short, medium, long, full or a pattern such as 'EEEE d MMMM'")
        return self._spaces(_day(self._locale, _text(value, "date"), style))

    def time(self, value: Any) -> str:
        """A time of day: ``'09:30' | time``, or that of a timestamp as it is written there."""
        return self._spaces(_time(self._locale, _text(value, "time")))

    def _spaces(self, text: str) -> str:
        return text.translate(_SPACES) if self._plain_spaces else text


def formats_for(locale: str, *, plain_spaces: bool) -> dict[str, Callable[..., Any]]:
    """The filters money, number, date, time and web_address for a locale (``it_IT``)."""
    formats = _Formats(locale, plain_spaces=plain_spaces)
    return {
        "money": formats.money,
        "number": formats.number,
        "date": formats.date,
        "time": formats.time,
        "web_address": web_address,
    }


@lru_cache(_CACHED)
def _money(locale: Locale, amount: float, currency: str) -> str:
    return format_currency(Decimal(str(amount)), currency, locale=locale)


@lru_cache(_CACHED)
def _decimal(locale: Locale, amount: float, decimals: int | None) -> str:
    pattern = None if decimals is None else "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(Decimal(str(amount)), format=pattern, locale=locale)


@lru_cache(_CACHED)
def _day(locale: Locale, value: str, style: str) -> str:
    try:
        day = date.fromisoformat(value[:10])
    except ValueError:
        raise Stop("date needs a day such as 2026-11-24") from None
    return format_date(day, format=style, locale=locale)


@lru_cache(_CACHED)
def _time(locale: Locale, value: str) -> str:
    try:
        when = datetime.fromisoformat(value).time() if "-" in value else time.fromisoformat(value)
    except ValueError:
        raise Stop("time needs a time such as 09:30") from None
    return format_time(when, format="short", locale=locale)


def web_address(value: Any) -> Any:
    """The value if it is an address a reader may be led to, never ``javascript:`` or ``data:`` (fault F68)."""
    text = _text(value, "a link")
    try:
        scheme = urlsplit(text).scheme.lower()
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES or len(text) > _LONGEST_URL or any(c.isspace() for c in text):
        raise Stop("a link is not a web address")
    return value


def _missing(value: Any) -> None:
    """Raise for a missing value, naming it."""
    if isinstance(value, Undefined):
        str(value)


def _text(value: Any, what: str) -> str:
    _missing(value)
    if not isinstance(value, str):
        raise Stop(f"{what} needs text, not {type(value).__name__}")
    return str(value)


def _number(value: Any, what: str) -> float:
    _missing(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Stop(f"{what} needs a number, not {type(value).__name__}")
    if not math.isfinite(value) or abs(value) > _LARGEST_AMOUNT:
        raise Stop(f"{what} needs a number of ordinary size")
    return value
