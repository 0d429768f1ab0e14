"""Whether text can be told from what is behind it: the contrast ratio of WCAG 2.1, criterion 1.4.3."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from outbound.engine.rendering.page import Look, Page

NORMAL: Final = 4.5
LARGE: Final = 3.0
_VISIBLE_PIXELS: Final = 2.0
_LARGE_PIXELS: Final = 24.0  # 18 point
_LARGE_BOLD_PIXELS: Final = 18.66  # 14 point

_NAMES: Final = {
    "black": "000000", "silver": "c0c0c0", "gray": "808080", "grey": "808080", "white": "ffffff", "maroon": "800000",
    "red": "ff0000", "purple": "800080", "fuchsia": "ff00ff", "magenta": "ff00ff", "green": "008000", "lime": "00ff00",
    "olive": "808000", "yellow": "ffff00", "navy": "000080", "blue": "0000ff", "teal": "008080", "aqua": "00ffff",
    "cyan": "00ffff", "orange": "ffa500", "darkgray": "a9a9a9", "darkgrey": "a9a9a9", "lightgray": "d3d3d3",
    "lightgrey": "d3d3d3", "dimgray": "696969", "dimgrey": "696969", "whitesmoke": "f5f5f5", "gainsboro": "dcdcdc",
    "brown": "a52a2a", "gold": "ffd700", "pink": "ffc0cb", "tomato": "ff6347", "crimson": "dc143c", "beige": "f5f5dc",
}  # fmt: skip
"""The named colours people write in mails; any other name is not judged."""


def faint(page: Page) -> Iterator[tuple[str, Look, float, float]]:
    """Texts with too little contrast: (text, look, ratio, needed). Each pair of colours once."""
    seen: set[tuple[str, str | None, float]] = set()
    for text, look in page.texts:
        needed = LARGE if _is_large(look) else NORMAL
        key = (look.colour, look.background, needed)
        if look.hidden or look.size < _VISIBLE_PIXELS or look.background is None or key in seen:
            continue
        seen.add(key)
        found = ratio(look.colour, look.background)
        if found is not None and found < needed:
            yield text, look, found, needed


@lru_cache(maxsize=512)
def ratio(one: str, other: str) -> float | None:
    """The contrast ratio of two colours, 1 to 21; None where one cannot be read."""
    light, dark = _luminance(one), _luminance(other)
    if light is None or dark is None:
        return None
    light, dark = max(light, dark), min(light, dark)
    return (light + 0.05) / (dark + 0.05)


def _is_large(look: Look) -> bool:
    return look.size >= _LARGE_PIXELS or (look.bold and look.size >= _LARGE_BOLD_PIXELS)


def _luminance(colour: str) -> float | None:
    """Relative luminance (WCAG 2.1) of an opaque colour."""
    channels = _channels(colour.strip())
    if channels is None:
        return None
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[float, float, float] | None:
    written = _NAMES.get(colour, colour.removeprefix("#"))
    if re.fullmatch(r"[0-9a-f]{3}", written):
        written = "".join(digit * 2 for digit in written)
    if re.fullmatch(r"[0-9a-f]{6}", written):
        return int(written[:2], 16) / 255, int(written[2:4], 16) / 255, int(written[4:], 16) / 255
    match = re.fullmatch(r"rgb\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*\)", colour)
    if match:
        return min(int(match[1]), 255) / 255, min(int(match[2]), 255) / 255, min(int(match[3]), 255) / 255
    return None
