"""The text part of a mail, made once from its HTML when nobody wrote one."""

import re
from typing import Final

import mrml
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
_TABLE: Final = re.compile(r"<(/?)(?:(mj-)?table|tbody|thead|tfoot)\b[^>]*>", re.IGNORECASE)
_LEADING: Final = re.compile(r"^((?:jsq\d+qsj[ \t]*)+)(?=\S)", re.MULTILINE)
_BLANK_LINES: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")
_ONLY_STATEMENTS: Final = re.compile(r"^[ \t]*((?:\{%(?:[^%]|%(?!\}))*%\}[ \t]*)+)\n", re.MULTILINE)


def from_mjml(parts: list[Segment]) -> str:
    """A text template for the content of a mail (without the brand's layout)."""
    content = _ROW.sub(_row, protect(parts))
    content = _TABLE.sub(lambda match: f"<{match[1]}{'mj-text' if match[2] else 'div'}>", content)
    content = content.replace("</mj-text>", "<br /><br /></mj-text>")  # each is a paragraph
    page = f"<mjml><mj-body>{content}</mj-body></mjml>"
    html = mrml.to_html(page, render_options=mrml.RenderOptions(fonts={}, disable_comments=False)).content
    return from_html(html, parts)


def from_html(html: str, parts: list[Segment]) -> str:
    """HTML to text; a link becomes its words and, on a line of its own, its address."""
    html = _LINK.sub(_link, html)
    html = _STATEMENT.sub(r"jsq\1qsj", html)
    text = get_text(html, _CONFIG)
    lines = [line.strip() for line in text.splitlines()]
    text = _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip() + "\n"
    text = _LEADING.sub(lambda match: match[1].rstrip() + "\n", text)
    return squeeze(_MARK.sub(lambda match: parts[int(match[1] or match[2])].text, text))


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


def _row(match: re.Match[str]) -> str:
    """A row of a table as a line: ``name: value, value``. Columns of blanks would break around conditions and loops."""
    line = _CELLS.sub(r": \1", match[1], count=1)
    line = _CELLS.sub(r", \1", line)
    return _CELL.sub("", line).strip() + "<br />"
