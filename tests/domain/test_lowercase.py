"""Lower case that Python and both databases can do alike."""

import sys

from outbound.domain.lowercase import lower, mapping


def test_every_character_stays_one_character() -> None:
    assert lower("MÜNCHEN ΟΔΟΣ İzmir ẞ") == "münchen οδοσ izmir ß"


def test_the_table_is_complete() -> None:
    """No character above the scanned planes has a lower case in this Python's Unicode."""
    for code in range(sys.maxunicode + 1):
        small = chr(code).lower()
        if len(small) == 1 and small != chr(code):
            assert mapping()[code] == ord(small)


def test_lower_is_idempotent() -> None:
    everything = "".join(map(chr, mapping()))
    assert lower(lower(everything)) == lower(everything)
