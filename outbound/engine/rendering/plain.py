"""The text part of a mail, made once from its HTML when nobody wrote one."""

import re
from typing import Final

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from outbound.engine.rendering.mjml import protect
from outbound.engine.rendering.source import Kind, Segment

_CONFIG: Final = ParserConfig(css=CSS_PROFILES["relaxed"], display_links=False, display_images=False)
_STATEMENT: Final = re.compile(r"<!--jsq(\d+)qsj-->")
_MARK: Final = re.compile(r"jsq(\d+)qsj|jxq(\d+)qxj")
_LINK: Final = re.compile(r"""<a\b[^>]*?\bhref=["']([^"']*)["'][^>]*>(.*?)</a>""", re.IGNORECASE | re.DOTALL)
_ROW: Final = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.IGNORECASE | re.DOTALL)
_CELLS: Final = re.compile(r"\s*</t[dh]>((?:\s|<!--jsq\d+qsj-->)*)<t[dh]\b[^>]*>\s*", re.IGNORECASE)
_CELL: Final = re.compile(r"</?t[dh]\b[^>]*>", re.IGNORECASE)
_MJML: Final = re.compile(
    r"""<(/?)(mj-[a-z-]+|table|tbody|thead|tfoot)((?:[^<>"']|"[^"]*"|'[^']*')*?)(/?)>""", re.IGNORECASE
)
_HREF: Final = re.compile(r"""\bhref\s*=\s*("[^"]*"|'[^']*')""", re.IGNORECASE)
_LINKED: Final = frozenset({"mj-button", "mj-navbar-link", "mj-social-element", "mj-carousel-image"})
_PARAGRAPHS: Final = frozenset({"mj-text", "mj-table", "mj-button", "table", "mj-accordion-text", "mj-accordion-title"})
_LEADING: Final = re.compile(r"^((?:jsq\d+qsj[ \t]*)+)(?=\S)", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")
_ONLY_STATEMENTS: Final = re.compile(r"^[ \t]*((?:\{%(?:[^%]|%(?!\}))*%\}[ \t]*)+)\n", re.MULTILINE)


def from_mjml(parts: list[Segment]) -> str:
    """A text template for the content of a mail (without the brand's layout).

    The tags of MJML become plain blocks here and not the nested tables of mail HTML: text between the rows of a
    table, which is where conditions and loops stand, has no order of its own.
    """
    content = _ROW.sub(_row, protect(parts))
    return from_html(_MJML.sub(_block, content), parts)


def from_html(html: str, parts: list[Segment]) -> str:
    """HTML to text; a link becomes its words and, on a line of its own, its address."""
    html = _LINK.sub(_link, html)
    html = _STATEMENT.sub(r"jsq\1qsj", html)
    text = get_text(html, _CONFIG)
    lines = [line.strip() for line in text.splitlines()]
    text = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip() + "\n"
    text = _LEADING.sub(lambda match: match[1].rstrip() + "\n", text)
    return _MARK.sub(lambda match: parts[int(match[1] or match[2])].text, text)


def squeeze(text: str) -> str:
    """A line that holds nothing but statements leaves no empty line behind."""
    return _ONLY_STATEMENTS.sub(lambda match: match[1].rstrip(), text)


def static_text(parts: list[Segment]) -> str:
    """The text of ``parts`` without comments, as written."""
    return "".join(part.text for part in parts if part.kind is not Kind.COMMENT)


def _link(match: re.Match[str]) -> str:
    address, words = match[1], match[2].strip()
    bare = re.sub(r"<[^>]+>", "", words).strip()
    if address.startswith(("mailto:", "tel:", "#")) or not address or bare == address:
        return words
    return f"{words}:<br>{address}<br>" if bare else ""


def _block(match: re.Match[str]) -> str:
    """An MJML tag as HTML that reads well without its looks; a paragraph ends with an empty line."""
    closing, name = bool(match[1]), match[2].lower()
    href = _HREF.search(match[3]) if name in _LINKED else None
    if match[4] or name == "mj-image":
        return ""
    if closing:
        gap = "<br /><br />" if name in _PARAGRAPHS else ""
        return ("</a>" if name in _LINKED else "") + gap + "</div>"
    return "<div>" + (f"<a href={href[1]}>" if href else "<a>" if name in _LINKED else "")


def _row(match: re.Match[str]) -> str:
    """A row of a table as a line: ``name: value, value``. Columns of blanks would break around conditions and loops."""
    line = _CELLS.sub(r": \1", match[1], count=1)
    line = _CELLS.sub(r", \1", line)
    return _CELL.sub("", line).strip() + "<br />"
