"""Lower case, character by character: the one definition behind ``lower()`` in every engine of conditions.

``str.lower`` looks at neighbours (a Greek sigma at the end of a word) and can lengthen the text; databases
do neither, and each knows another part of Unicode. This table is applied by all of them.
"""

from collections.abc import Mapping
from functools import cache

_LAST_PLANE = 0x20000
"""No character from here on has a lower case: the planes above hold ideographs and tags."""

_DOTTED_CAPITAL_I = 0x130
"""Turkish: its full lower case is two characters, its simple one is ``i`` (UnicodeData.txt)."""


@cache
def mapping() -> Mapping[int, int]:
    """Code point to the code point of its lower case, for every character that has one."""
    pairs = ((code, chr(code).lower()) for code in range(_LAST_PLANE))
    table = {code: ord(small) for code, small in pairs if len(small) == 1 and ord(small) != code}
    table[_DOTTED_CAPITAL_I] = ord("i")
    return table


def lower(text: str) -> str:
    """``text`` with every character in lower case, as long as before."""
    return text.lower() if text.isascii() else text.translate(mapping())
