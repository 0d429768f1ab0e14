"""What the pages say, in Italian and English. A brand in another language gets English pages."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final

from babel.dates import format_date

_FOLDER: Final = Path(__file__).parent / "pages"


def _read(language: str) -> Mapping[str, str]:
    return MappingProxyType(tomllib.loads((_FOLDER / f"words.{language}.toml").read_text(encoding="utf-8")))


WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({name: _read(name) for name in ("it", "en")})

LANGUAGES: Final[Mapping[str, str]] = MappingProxyType(
    {"it": "Italiano", "en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "pt": "Português"}
)
"""What languages call themselves."""


def spoken(language: str) -> str:
    """The language a page for this reader is in."""
    return language if language in WORDS else "en"


def long_day(day: date, language: str) -> str:
    """``24 November 2026``."""
    return format_date(day, format="long", locale={"it": "it_IT"}.get(language, "en_GB"))
