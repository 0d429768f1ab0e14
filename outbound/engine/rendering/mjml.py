"""MJML to the HTML of mail programs, once per template, with Jinja kept intact.

MJML and the CSS inliner are HTML programs: they would move ``{% for %}`` out of a table and escape ``>``. So statements
become comments and expressions plain words before they run, and come back after. Each trap has a test.
"""

import re
from html import escape
from typing import Final

import css_inline
import mrml

from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.source import Kind, Segment, Source

_WORD: Final = "jxq{}qxj"
_FOUND: Final = re.compile(r"<!--jsq(\d+)qsj-->|jxq(\d+)qxj")
_LINK: Final = re.compile(r"""((?:\bhref|\bsrc|\bbackground|\baction)\s*=\s*["']\s*)jxq(\d+)qxj""", re.IGNORECASE)
_TABLE: Final = re.compile(r"<(/?)(mj-table|table|tbody|thead|tfoot|tr)\b[^>]*>", re.IGNORECASE)
_TAG: Final = re.compile(r"<!--jsq(\d+)qsj-->|<!--.*?-->|<(/?)([a-z][\w:-]*)[^>]*?(/?)>", re.IGNORECASE | re.DOTALL)
_VOID: Final = frozenset({"br", "hr", "img", "meta", "link", "input", "col", "wbr", "area", "base"})
_ENDS: Final = frozenset({"else", "elif", "endif", "endfor"})

_RENDER_OPTIONS: Final = mrml.RenderOptions(fonts={})
"""No fonts are fetched from anybody's server: a mail must not report its reader."""


def protect(parts: list[Segment]) -> str:
    """The source with every statement as a comment and every expression as a word."""
    return _with_tbody("".join(_protected(number, part) for number, part in enumerate(parts)))


def _protected(number: int, part: Segment) -> str:
    if part.kind is Kind.TEXT:
        return part.text
    if part.fixed is not None:
        return escape(part.fixed, quote=True)
    if part.kind is Kind.EXPRESSION:
        return _WORD.format(number)
    return f"<!--jsq{number}qsj-->" if part.kind is Kind.STATEMENT else ""


def _origin(parts: list[Segment], position: int) -> int:
    """The offset in the source of a position in the protected text (a few characters off after a <tbody> of ours)."""
    for number, part in enumerate(parts):
        length = len(_protected(number, part))
        if position < length:
            return part.start + (position if part.kind is Kind.TEXT else 0)
        position -= length
    return parts[-1].start if parts else 0


def to_html(source: Source, parts: list[Segment]) -> str:
    """A template of HTML and Jinja. Raises Fault when the MJML is wrong or Jinja would not survive."""
    try:
        page = mrml.to_html(protect(parts), render_options=_RENDER_OPTIONS).content
    except OSError as error:
        place = re.search(r" at position (\d+)", str(error))
        offset = _origin(parts, int(place[1])) if place else 0
        words = str(error).partition(" in root template")[0]
        raise source.fault(
            offset, Code.MARKUP, f"MJML: {words}", "check quotes, tags and what may stand here"
        ) from None
    inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
    page = inliner.inline(page)
    _check_survivors(source, parts, page)
    _check_nesting(source, parts, page)
    return restore(page, parts)


def restore(page: str, parts: list[Segment]) -> str:
    """Bring statements and expressions back; a value that begins a link must be a web address."""

    def link(match: re.Match[str]) -> str:
        part = parts[int(match[2])]
        if part.inner.startswith(("asset(", "unsubscribe_url", "preferences_url", "verify_url")):
            return match[0]  # made by us
        return f"{match[1]}{{{{ ({part.inner}) | web_address }}}}"

    def back(match: re.Match[str]) -> str:
        return parts[int(match[1] or match[2])].text

    return _FOUND.sub(back, _LINK.sub(link, page))


def _with_tbody(text: str) -> str:
    """Write the <tbody> that HTML implies. Left out, a parser adds it inside a loop's first turn."""
    inserts: list[tuple[int, str]] = []
    tables: list[list[int]] = []  # per open table: where it opened, whether it has a part of its own (0, 1) or ours (2)
    for match in _TABLE.finditer(text):
        closing, name = bool(match[1]), match[2].lower()
        if name in ("table", "mj-table"):
            if not closing:
                tables.append([match.end(), 0])
            elif tables and tables.pop()[1] == 2:  # noqa: PLR2004 -- see above
                inserts.append((match.start(), "</tbody>"))
        elif tables and not closing and not tables[-1][1]:
            tables[-1][1] = 2 if name == "tr" else 1
            if name == "tr":
                inserts.append((tables[-1][0], "<tbody>"))
    for position, tag in sorted(inserts, reverse=True):
        text = text[:position] + tag + text[position:]
    return text


def _check_survivors(source: Source, parts: list[Segment], page: str) -> None:
    """Nothing of Jinja may be lost or doubled on the way through MJML."""
    counts: dict[int, int] = {}
    for match in _FOUND.finditer(page):
        number = int(match[1] or match[2])
        counts[number] = counts.get(number, 0) + 1
    for number, part in enumerate(parts):
        seen = counts.get(number, 0)
        if part.kind is Kind.EXPRESSION and part.fixed is None and seen == 0:
            hint = "MJML leaves out text and attributes it does not know: put it into mj-text or a known attribute"
            raise source.fault(part.start, Code.MARKUP, "this value gets lost in MJML", hint, width=2)
        if part.kind is Kind.STATEMENT and seen != 1:
            hint = "put it around whole sections, columns, or the content of a column"
            raise source.fault(part.start, Code.STATEMENT_NESTING, "this statement gets lost in MJML", hint, width=2)


def _check_nesting(source: Source, parts: list[Segment], page: str) -> None:
    """The beginning and end of a block must stand in the same element, else HTML breaks when it is left out."""
    stack: list[str] = []
    blocks: list[tuple[str, ...]] = []
    for match in _TAG.finditer(page):
        if match[1]:
            part = parts[int(match[1])]
            word = part.inner.split(None, 1)[0] if part.inner else ""
            here = tuple(stack)
            if word in _ENDS and blocks and blocks[-1] != here:
                message = f"'{word}' stands in another element than the beginning of its block"
                hint = "put the whole block inside or around the element"
                raise source.fault(part.start, Code.STATEMENT_NESTING, message, hint, width=2)
            if word in ("if", "for"):
                blocks.append(here)
            elif word in ("endif", "endfor") and blocks:
                blocks.pop()
        elif match[3] and not match[4] and match[3].lower() not in _VOID:
            name = match[3].lower()
            if not match[2]:
                stack.append(f"{name}@{match.start()}")
            elif stack and stack[-1].partition("@")[0] == name:
                stack.pop()
