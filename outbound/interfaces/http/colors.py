"""The brand's colour on pages, with enough contrast to read by (WCAG 2.2, 1.4.3: 4.5 to 1)."""

from functools import lru_cache
from html import escape

DEFAULT = "#1f5a48"
_LIGHT_PAPER, _DARK_CARD = "#eef1ee", "#20302c"
_LIGHT_INK, _DARK_INK = "#1e2624", "#e8edea"
_ENOUGH = 4.5
_STEPS = 20


@lru_cache(maxsize=64)
def scheme(color: str) -> dict[str, str]:
    """The style sheet's variables for light and for dark screens. ``color``: six hex digits after ``#``, or ""."""
    brand = color.lower() or DEFAULT
    return {"light": _variables(brand, _LIGHT_PAPER, _LIGHT_INK), "dark": _variables(brand, _DARK_CARD, _DARK_INK)}


def icon(color: str, letter: str) -> str:
    """The sign of the brand in a browser's tab, as SVG: its letter, readable on its colour."""
    brand = color.lower() or DEFAULT
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="7" fill="{brand}"/>'
        f'<text x="16" y="23" font-family="Georgia,serif" font-size="21" text-anchor="middle" '
        f'fill="{_text_on(brand)}">{escape(letter)}</text></svg>'
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _variables(brand: str, surface: str, ink: str) -> str:
    accent = _readable(brand, surface, ink)
    values = {"brand": brand, "on-brand": _text_on(brand), "accent": accent, "on-accent": _text_on(accent)}
    return ";".join(f"--{name}:{value}" for name, value in values.items())


def _readable(color: str, surface: str, ink: str) -> str:
    """The colour, moved towards the colour of text until it can be read on ``surface``."""
    mixed = color
    for step in range(1, _STEPS + 1):
        if contrast(mixed, surface) >= _ENOUGH:
            return mixed
        mixed = _mix(color, ink, step / _STEPS)
    return ink


def _text_on(color: str) -> str:
    return max(("#ffffff", "#0f1513"), key=lambda text: contrast(text, color))


def _mix(one: str, other: str, share: float) -> str:
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in _channels(color))]  # noqa: PLR2004 - sRGB
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
