"""Finding what MJML lets pass: unknown tags, missing alt texts, open tags, Jinja statements inside a tag."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from outbound.domain.source import Problem
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.source import Kind, Segment, Source
from outbound.engine.rulefiles.findings import did_you_mean

_MJML = frozenset({
    "mjml", "mj-head", "mj-body", "mj-attributes", "mj-all", "mj-class", "mj-breakpoint", "mj-font",
    "mj-html-attributes", "mj-selector", "mj-html-attribute", "mj-preview", "mj-style", "mj-title", "mj-accordion",
    "mj-accordion-element", "mj-accordion-title", "mj-accordion-text", "mj-button", "mj-carousel",
    "mj-carousel-image", "mj-column", "mj-divider", "mj-group", "mj-hero", "mj-image", "mj-navbar",
    "mj-navbar-link", "mj-raw", "mj-section", "mj-social", "mj-social-element", "mj-spacer", "mj-table", "mj-text",
    "mj-wrapper",
})  # fmt: skip
"""MJML 4. mj-include is not here: partials are included by the compiler, which knows the file of every line."""

_HTML = frozenset({
    "a", "abbr", "address", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup",
    "dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "meta", "ol", "p", "pre", "q", "s",
    "samp", "section", "small", "span", "strike", "strong", "style", "sub", "sup", "table", "tbody", "td", "tfoot",
    "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr",
})  # fmt: skip
"""No script, form, iframe, object, video or svg: mail programs drop them, and so does this list."""

_VOID = frozenset({"br", "hr", "img", "meta", "col", "wbr"})
_STYLED = frozenset({"style", "mj-style"})
_EXPRESSION, _STATEMENT, _FILLER = "\ue000", "\ue001", "\ue002"

_TAG = re.compile(r"""<(/?)([A-Za-z][\w:-]*)((?:[^<>"']|"[^"]*"|'[^']*')*?)(/?)>""")
_ATTRIBUTE = re.compile(r"""([^\s"'=<>/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"'=<>]+))?""")
_SKIPPED = re.compile(r"<!--.*?-->|<!doctype[^>]*>", re.IGNORECASE | re.DOTALL)
_NEEDS: Final = {"a": "href", "mj-button": "href"}


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    start: int
    closing: bool
    closed: bool
    attributes: dict[str, str]


def lint(source: Source, parts: list[Segment]) -> Iterator[Problem]:
    """Everything wrong with the markup of ``source``, which ``parts`` has cut into text and Jinja."""
    masked = _mask(parts)
    position = 0
    open_tags: list[_Tag] = []
    while (start := masked.find("<", position)) >= 0:
        skipped = _SKIPPED.match(masked, start)
        if skipped:
            position = skipped.end()
            continue
        match = _TAG.match(masked, start)
        if not match:
            hint = "write &lt; for the character itself, and close every quote and tag"
            yield source.problem(start, Code.MARKUP, "this is no complete tag", hint)
            position = start + 1
            continue
        position = match.end()
        attributes = {m[1].lower(): m[2] or "" for m in _ATTRIBUTE.finditer(match[3])}
        tag = _Tag(match[2].lower(), start, bool(match[1]), bool(match[4]), attributes)
        defaults = any(other.name == "mj-attributes" for other in open_tags)
        yield from _check_tag(source, match, tag, defaults=defaults)
        yield from _nest(source, tag, open_tags)
        if tag.name in _STYLED and not tag.closing and not tag.closed:
            end = masked.find(f"</{tag.name}", position)
            position, style = (end, masked[position:end]) if end >= 0 else (position, "")
            if _EXPRESSION in style:
                offset = match.end() + style.index(_EXPRESSION)
                yield source.problem(offset, Code.MARKUP, "a value inside a style", "write {{ brand.NAME }} or a class")
    for tag in open_tags:
        yield source.problem(tag.start, Code.MARKUP, f"<{tag.name}> is never closed", f"write </{tag.name}>")


def _mask(parts: list[Segment]) -> str:
    """The text with Jinja replaced by marks of the same length, so that offsets stay the same."""
    marks = {Kind.EXPRESSION: _EXPRESSION, Kind.STATEMENT: _STATEMENT, Kind.COMMENT: " "}
    masked = []
    for part in parts:
        if part.kind is Kind.TEXT:
            masked.append(part.text)
        else:
            mark = marks[part.kind] if part.fixed is None else _FILLER
            masked.append(mark + _FILLER * (len(part.text) - 1))
    return "".join(masked)


def _check_tag(source: Source, match: re.Match[str], tag: _Tag, *, defaults: bool) -> Iterator[Problem]:
    known = _MJML if tag.name.startswith("mj") else _HTML
    width = len(tag.name) + 1 + tag.closing
    if tag.name not in known:
        if not tag.closing:
            hint = did_you_mean(tag.name, known) or "docs/templates.md lists the tags"
            yield source.problem(tag.start, Code.UNKNOWN_TAG, f"unknown tag <{tag.name}>", hint, width=width)
        return
    if _STATEMENT in match[3]:
        offset = match.start(3) + match[3].index(_STATEMENT)
        hint = "put the {% if %} around the whole tag, or write {{ 'a' if x else 'b' }} inside the quotes"
        yield source.problem(offset, Code.STATEMENT_IN_TAG, "a statement inside a tag", hint, width=2)
    outside = re.sub(r"\"[^\"]*\"|'[^']*'", lambda quoted: " " * len(quoted[0]), match[3])
    if _EXPRESSION in outside:
        offset = match.start(3) + outside.index(_EXPRESSION)
        hint = 'write name="{{ value }}" with quotes'
        yield source.problem(offset, Code.MARKUP, "a value inside a tag needs quotes", hint, width=2)
    if tag.closing or defaults:
        return
    if _EXPRESSION in tag.attributes.get("style", ""):
        yield source.problem(
            tag.start, Code.MARKUP, "a value inside a style", "write {{ brand.NAME }} or a class", width=width
        )
    if any(name.startswith("on") for name in tag.attributes):
        yield source.problem(tag.start, Code.MARKUP, "event handlers do nothing in mail", "remove it", width=width)
    if tag.name in ("img", "mj-image") and "alt" not in tag.attributes:
        hint = 'say what it shows: alt="..."; alt="" for pure decoration'
        yield source.problem(tag.start, Code.MISSING_ALT, f"<{tag.name}> without alt text", hint, width=width)
    needed = _NEEDS.get(tag.name)
    if needed and needed not in tag.attributes and "name" not in tag.attributes:
        yield source.problem(
            tag.start, Code.MISSING_LINK, f"<{tag.name}> without {needed}", "say where it leads", width=width
        )


def _nest(source: Source, tag: _Tag, open_tags: list[_Tag]) -> Iterator[Problem]:
    """Keep the stack of open tags; report a closing tag that closes nothing or the wrong thing."""
    if tag.closed or (tag.name in _VOID and not tag.closing):
        return
    if not tag.closing:
        open_tags.append(tag)
        return
    width = len(tag.name) + 2
    if open_tags and open_tags[-1].name == tag.name:
        open_tags.pop()
    elif any(other.name == tag.name for other in open_tags):
        inner = open_tags[-1]
        yield source.problem(
            inner.start,
            Code.MARKUP,
            f"<{inner.name}> is still open where </{tag.name}> closes",
            f"write </{inner.name}> before",
        )
        while open_tags and open_tags.pop().name != tag.name:
            pass
    elif tag.name not in _VOID:
        yield source.problem(tag.start, Code.MARKUP, f"</{tag.name}> closes nothing", "remove it", width=width)
