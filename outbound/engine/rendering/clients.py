"""What of a page some mail programs do not show, by the data of caniemail.com where the installation has them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outbound.engine.rendering.page import Page

WORTH_TELLING: Final = 0.2
"""The share of mail programs without a feature from which on it is reported."""

_AT_RULES: Final = re.compile(r"@([\w-]+)([^{;]*)")
_PSEUDO: Final = re.compile(r"(?<!:):(?!:)([a-z-]+)")
_PSEUDO_ELEMENT: Final = re.compile(r"::([a-z-]+)")
_UNIT: Final = re.compile(r"(?<![\w#.-])-?[\d.]+(ch|cm|em|ex|in|mm|pc|pt|rem|vh|vmax|vmin|vw)\b")
_FUNCTION: Final = re.compile(r"\b([a-z-]+)\(")
_BY_FUNCTION: Final = {
    "calc": "css-unit-calc", "var": "css-variables", "linear-gradient": "css-linear-gradient", "rgba": "css-rgba",
    "radial-gradient": "css-radial-gradient", "conic-gradient": "css-conic-gradient", "clamp": "css-function-clamp",
    "min": "css-function-min", "max": "css-function-max", "light-dark": "css-function-light-dark", "rgb": "css-rgb",
}  # fmt: skip
_BY_MEDIA: Final = {
    "prefers-color-scheme": "css-at-media-prefers-color-scheme", "orientation": "css-at-media-orientation",
    "prefers-reduced-motion": "css-at-media-prefers-reduced-motion", "hover": "css-at-media-hover",
}  # fmt: skip
_ATTRIBUTES: Final = frozenset({
    "align", "aria-describedby", "aria-hidden", "aria-label", "aria-labelledby", "aria-live", "background",
    "cellpadding", "cellspacing", "dir", "height", "hidden", "lang", "role", "srcset", "target", "valign", "width",
})  # fmt: skip
_BY_ATTRIBUTE: Final = {"loading": "html-loading-attribute"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What one mail program after the other does with a feature: ``lacking`` of ``clients`` do not have it at all."""

    title: str
    clients: int
    lacking: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of mail programs without it."""
        return len(self.lacking) / self.clients if self.clients else 0.0


Support = Mapping[str, Feature]
"""Features by the name caniemail.com gives them (``css-border-radius``)."""


def used(page: Page) -> dict[str, str]:
    """The features a page uses, each with the word by which its author wrote it."""
    found: dict[str, str] = {}
    for tag in page.tags:
        found[f"html-{tag}"] = f"<{tag}"
    for name in page.attributes:
        if name in _ATTRIBUTES or name in _BY_ATTRIBUTE:
            found[_BY_ATTRIBUTE.get(name, f"html-{name}")] = f"{name}="
    for name, value in page.styles:
        found[f"css-{name}"] = f"{name}:"
        if name in {"display", "position"}:
            found[f"css-{name}-{value}"] = value
        found.update(_in_value(value))
    for sheet in page.sheets:
        found.update(_in_sheet(sheet))
    for tag, _, address in page.links:
        kind = re.search(r"\.(apng|avif|bmp|heif|hdr|ico|svg|tiff|webp|mp4)(?:\?|$)", address.lower())
        if kind and tag in {"img", "source", "video"}:
            found[f"image-{kind[1]}"] = f".{kind[1]}"
    return found


def lacking(page: Page, support: Support) -> Iterator[tuple[str, Feature]]:
    """(the author's word, the feature) of what so many mail programs lack that it is worth telling."""
    for slug, word in sorted(used(page).items()):
        feature = support.get(slug)
        if feature is not None and feature.share >= WORTH_TELLING:
            yield word, feature


def _in_value(value: str) -> Iterator[tuple[str, str]]:
    for match in _UNIT.finditer(value):
        yield f"css-unit-{match[1]}", match[0]
    for match in _FUNCTION.finditer(value):
        if match[1] in _BY_FUNCTION:
            yield _BY_FUNCTION[match[1]], f"{match[1]}("


def _in_sheet(sheet: str) -> Iterator[tuple[str, str]]:
    for match in _AT_RULES.finditer(sheet):
        yield f"css-at-{match[1]}", f"@{match[1]}"
        for word, slug in _BY_MEDIA.items():
            if word in match[2]:
                yield slug, word
    selectors = re.sub(r"\{[^{}]*\}", " ", re.sub(r"@[\w-]+[^{;]*", " ", sheet))
    for match in _PSEUDO.finditer(selectors):
        yield f"css-pseudo-class-{match[1]}", f":{match[1]}"
    for match in _PSEUDO_ELEMENT.finditer(selectors):
        yield f"css-pseudo-element-{match[1]}", f"::{match[1]}"
