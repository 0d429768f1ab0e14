"""What an incoming text message means: its words compared with closed lists, never guessed (C16-C18)."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from outbound.domain.keywords import SmsMeaning, SmsWords

_LONGEST = 1_600
"""Characters that are looked at: ten parts of 160, the most a phone sends as one text."""

_Phrase = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """The meaning, and the keyword that gave it, as it stands in the list ("" for ordinary text)."""

    meaning: SmsMeaning
    keyword: str = ""


def read(text: str, words: SmsWords) -> Read:
    """What ``text`` means.

    A keyword alone, repeated, or with words of the courtesy list is what it says. Any other text that contains a
    word that stops is ``unclear``: it opts nobody out by itself, and a person has to read it.
    """
    lists = _compiled(words)
    tokens = normalised(text[:_LONGEST]).split()
    if len(tokens) > 1 and all(len(token) == 1 for token in tokens):
        tokens = ["".join(tokens)]  # S.T.O.P.
    found: dict[SmsMeaning, str] = {}
    ordinary, place = False, 0
    while place < len(tokens):
        meaning, keyword, length = lists.at(tokens, place)
        if meaning is not None:
            found.setdefault(meaning, keyword)
        elif not length:
            ordinary = True
        place += length or 1
    if not ordinary and len(found) == 1:
        return Read(*next(iter(found.items())))
    if SmsMeaning.STOP in found:
        return Read(SmsMeaning.UNCLEAR, found[SmsMeaning.STOP])
    return Read(SmsMeaning.OTHER)


def normalised(text: str) -> str:
    """Lower-case letters and digits with single spaces: compatibility forms folded (NFKC), accents dropped.

    Zero-width characters vanish; punctuation, symbols and emoji separate words.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = []
    for character in folded:
        category = unicodedata.category(character)
        if category[0] in "LN":
            kept.append(character)
        elif category not in ("Mn", "Me", "Cf"):  # accents and what has no width join what is beside them
            kept.append(" ")
    return re.sub(r" +", " ", "".join(kept)).strip()


class _Lists:
    """The phrases of all lists by their first word, the longest first."""

    def __init__(self, words: SmsWords) -> None:
        self._phrases: dict[str, list[tuple[_Phrase, SmsMeaning | None, str]]] = {}
        for meaning, listed in (
            (SmsMeaning.STOP, words.stop),
            (SmsMeaning.START, words.start),
            (SmsMeaning.HELP, words.help),
            (None, words.courtesy),
        ):
            for keyword in listed:
                phrase = tuple(normalised(keyword).split())
                if phrase:
                    self._phrases.setdefault(phrase[0], []).append((phrase, meaning, keyword))
        for several in self._phrases.values():
            several.sort(key=lambda one: -len(one[0]))  # stable: of two with the same words the first list counts

    def at(self, tokens: list[str], place: int) -> tuple[SmsMeaning | None, str, int]:
        """What begins at ``place``: its meaning (None: courtesy, or nothing we know), keyword and length in words."""
        for phrase, meaning, keyword in self._phrases.get(tokens[place], ()):
            if tuple(tokens[place : place + len(phrase)]) == phrase:
                return meaning, keyword, len(phrase)
        return None, "", 0


@lru_cache(maxsize=16)
def _compiled(words: SmsWords) -> _Lists:
    return _Lists(words)
