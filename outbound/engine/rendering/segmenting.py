"""How many parts a text message takes on the network (3GPP TS 23.038: GSM 7 bit, else UCS-2)."""

from dataclasses import dataclass

import smsutil


@dataclass(frozen=True, slots=True)
class Segmented:
    """``segments`` parts in ``encoding`` (``GSM-7`` or ``UCS-2``). ``forced_by``: what GSM 7 bit cannot write."""

    segments: int
    encoding: str
    forced_by: tuple[str, ...] = ()


def count(text: str) -> Segmented:
    """Parts of 160 GSM characters (153 when several; € and brackets take two), or of 70 (67) UCS-2 units."""
    split = smsutil.split(text)
    segments = max(1, len(split.parts))
    if not text or smsutil.is_valid_gsm(text):
        return Segmented(segments, "GSM-7")
    odd = tuple(sorted({character for character in text if not smsutil.is_valid_gsm(character)}))
    return Segmented(segments, "UCS-2", odd)
