"""Putting the brand's layout around a template, and partials into both, before anything is compiled."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.language import Scope
from outbound.engine.rendering.source import (
    Kind,
    Piece,
    Segment,
    Source,
    file_piece,
    segments,
)
from outbound.engine.rulefiles.findings import did_you_mean
from outbound.engine.rulefiles.nodes import ScalarNode

_INCLUDE: Final = re.compile(r"""\{%-?\s*include\s+["']([^"']+)["']\s*-?%\}""")
_SLOT: Final = re.compile(r"\{\{\s*content\s*\}\}")
_FIXED: Final = re.compile(r"(t|brand)\.(\w+)")
_DEPTH: Final = 5


def pieces_of(path: str, text: str, partials: Mapping[str, str], depth: int = 0) -> list[Piece]:
    """The file as pieces, each ``{% include %}`` replaced by the partial it names. Raises Fault."""
    found: list[Piece] = []
    position = 0
    for match in _INCLUDE.finditer(text):
        name = match[1]
        here = Source([file_piece(path, text)])
        if name not in partials:
            hint = did_you_mean(name, partials)
            raise here.fault(match.start(), Code.MISSING_FILE, f"there is no partial templates/brand/{name}", hint)
        if depth >= _DEPTH:
            raise here.fault(match.start(), Code.SYNTAX, "partials include each other without end")
        found.append(file_piece(path, text, position, match.start()))
        found += pieces_of(f"templates/brand/{name}", partials[name], partials, depth + 1)
        position = match.end()
    found.append(file_piece(path, text, position))
    return found


def fill(layout: list[Piece], content: list[Piece]) -> Source:
    """The layout with the template's own text in place of ``{{ content }}``. Raises Fault."""
    filled: list[Piece] = []
    contents = 0
    for piece in layout:
        position = 0
        for match in _SLOT.finditer(piece.text):
            filled.append(_part(piece, position, match.start()))
            filled += content
            contents += 1
            position = match.end()
        filled.append(_part(piece, position, len(piece.text)))
    source = Source(filled)
    if contents != 1:
        raise source.fault(0, Code.SYNTAX, "a layout contains {{ content }} once", "add {{ content }}")
    return source


def line_piece(node: ScalarNode) -> Piece:
    """A text of a YAML file."""
    return Piece(text=node.text, locate=node.place)


def cut(source: Source, scope: Scope) -> list[Segment]:
    """The segments of ``source``, with what is the same for every reader already known. Raises Fault."""
    found = []
    for part in segments(source):
        match = _FIXED.fullmatch(part.inner) if part.kind is Kind.EXPRESSION else None
        texts = {} if match is None else scope.strings if match[1] == "t" else scope.brand
        found.append(replace(part, fixed=texts[match[2]]) if match and match[2] in texts else part)
    return found


def _part(piece: Piece, start: int, end: int) -> Piece:
    return Piece(text=piece.text[start:end], locate=lambda offset: piece.locate(start + offset))
