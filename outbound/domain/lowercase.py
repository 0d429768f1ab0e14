"""Lower case, character by character: the one definition behind ``lower()`` in every engine of conditions.

``str.lower`` looks at neighbours (a Greek sigma at the end of a word) and can lengthen the text; databases
do neither, and each knows another part of Unicode. This table is applied by all of them.
"""

import sys

_DOTTED_CAPITAL_I = 0x130
"""Turkish: its full lower case is two characters, its simple one is ``i`` (Unicode UnicodeData.txt)."""

MAPPING = {
    code: ord(chr(code).lower())
    for code in range(sys.maxunicode + 1)
    if len(chr(code).lower()) == 1 and chr(code).lower() != chr(code)
} | {_DOTTED_CAPITAL_I: ord("i")}
"""Code point to the code point of its lower case, for the characters that have one."""


def lower(text: str) -> str:
    """``text`` with every character in lower case, as long as before."""
    return text.lower() if text.isascii() else text.translate(MAPPING)
