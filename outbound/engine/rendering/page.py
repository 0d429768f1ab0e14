"""A rendered page read once for everything that is asked of it: links, texts with their colours, what it is made of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

_VOID: Final = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_SILENT: Final = frozenset({"head", "title", "style", "script", "noscript"})
_IMAGES: Final = ("background", "background-image")
_DECLARATION: Final = re.compile(r"([\w-]+)\s*:\s*((?:[^;\"']|\"[^\"]*\"|'[^']*')+)")
_BODY: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Look:
    """How a text looks: colours as written, ``background`` None under an image, ``size`` in pixels."""

    colour: str = "#000000"
    background: str | None = "#ffffff"
    size: float = 16.0
    bold: bool = False
    hidden: bool = False


@dataclass(slots=True)
class Page:
    """What was found. ``links`` are (tag, attribute, address); ``styles`` declarations of CSS, inline and in blocks."""

    links: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[tuple[str, Look]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    styles: set[tuple[str, str]] = field(default_factory=set)
    sheets: list[str] = field(default_factory=list)


def read_page(html: str) -> Page:
    """Read a rendered page. Conditional comments for Outlook are comments: what is in them is not looked at."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    """Keeps the looks of the open elements on a stack."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[tuple[str, Look]] = [("", Look())]
        self._style: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        page = self.page
        page.tags.add(tag)
        page.attributes.update(given)
        for name in ("href", "src", "background"):
            if name in given and tag != "base":
                page.links.append((tag, name, given[name]))
        declared = dict(declarations(given.get("style", "")))
        page.styles.update(declared.items())
        if tag == "style":
            self._style = []
        if tag not in _VOID:
            self._open.append((tag, _look(self._open[-1][1], tag, given, declared)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "style" and self._style is not None:
            sheet = "".join(self._style)
            self.page.sheets.append(sheet)
            for body in _BODY.finditer(sheet):
                self.page.styles.update(declarations(body[1]))
            self._style = None
        if any(name == tag for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._style is not None:
            self._style.append(data)
        elif data.strip() and not any(name in _SILENT for name, _ in self._open):
            self.page.texts.append((data.strip(), self._open[-1][1]))


def declarations(style: str) -> list[tuple[str, str]]:
    """The (property, value) pairs of a style, in lower case."""
    return [(name.lower(), value.strip().lower()) for name, value in _DECLARATION.findall(style)]


def _look(above: Look, tag: str, given: Mapping[str, str], declared: Mapping[str, str]) -> Look:
    colour = declared.get("color") or (given.get("color") if tag == "font" else None)
    if colour is None and tag == "a" and "href" in given:
        colour = "#0000ee"
    hidden = above.hidden or declared.get("display") == "none"
    return Look(
        colour=above.colour if colour in {None, "inherit"} else colour or above.colour,
        background=_background(above.background, given, declared),
        size=_size(declared.get("font-size", ""), above.size),
        bold=_bold(declared.get("font-weight", ""), tag, above.bold),
        hidden=hidden or declared.get("visibility") == "hidden" or declared.get("opacity") == "0",
    )


def _background(above: str | None, given: Mapping[str, str], declared: Mapping[str, str]) -> str | None:
    """The colour behind the text; None where a picture is, or what cannot be told."""
    if "background" in given or any(
        "url(" in declared.get(n, "") or "gradient" in declared.get(n, "") for n in _IMAGES
    ):
        return None
    found = declared.get("background-color") or declared.get("background") or given.get("bgcolor")
    if found is None or found in {"transparent", "inherit", "none"}:
        return above
    return found.split(" ", 1)[0] if "(" not in found else found


def _size(written: str, above: float) -> float:
    match = re.fullmatch(r"([\d.]+)(px|pt|em|rem|%)?", written)
    if not match:
        return above
    number = float(match[1])
    by_unit = {"px": number, "pt": number * 4 / 3, "em": number * above, "rem": number * 16, "%": number * above / 100}
    return by_unit.get(match[2] or "px", above)


def _bold(written: str, tag: str, above: bool) -> bool:
    if written:
        return written in {"bold", "bolder"} or (written.isdigit() and int(written) >= 700)  # noqa: PLR2004 - CSS
    return above or tag in {"b", "strong", "th", "h1", "h2", "h3", "h4", "h5", "h6"}
