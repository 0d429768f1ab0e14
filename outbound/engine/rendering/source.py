"""Template text with the memory of where each character stands in its file."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from outbound.domain.source import Problem, Severity, Span
from outbound.engine.rendering.codes import Code


class Fault(Exception):  # noqa: N818 -- control flow of the compiler: always caught and turned into a Problem
    """This part cannot be compiled. ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of text from one place. ``locate`` gives the span of the character at an offset into ``text``."""

    text: str
    locate: Callable[[int], Span]


class Source:
    """Pieces joined into one text: a layout with the template's own text inside it."""

    __slots__ = ("_pieces", "_starts", "text")

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = [piece for piece in pieces if piece.text]
        self._starts: list[int] = []
        length = 0
        for piece in self._pieces:
            self._starts.append(length)
            length += len(piece.text)
        self.text: Final = "".join(piece.text for piece in self._pieces)

    def place(self, offset: int, width: int = 1) -> Span:
        """Where the character at ``offset`` of the joined text stands in its file."""
        index = max(0, bisect_right(self._starts, offset) - 1)
        if not self._pieces:
            return Span("", 1, 1)
        span = self._pieces[index].locate(offset - self._starts[index])
        return Span(span.file, span.line, span.column, max(1, width))

    def fault(self, offset: int, code: Code, message: str, hint: str = "", width: int = 1) -> Fault:
        """A Fault at ``offset``, to be raised."""
        return Fault(self.problem(offset, code, message, hint, width=width))

    def problem(
        self,
        offset: int,
        code: Code,
        message: str,
        hint: str = "",
        *,
        width: int = 1,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A Problem at ``offset``."""
        place = self.place(offset, width)
        return Problem(span=place, message=message, code=code, suggestion=hint, severity=severity)


def file_piece(path: str, text: str, start: int = 0, end: int | None = None) -> Piece:
    """``text[start:end]`` of the file ``path``."""

    def locate(offset: int) -> Span:
        position = start + offset
        return Span(path, text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))

    return Piece(text=text[start:end], locate=locate)


def fixed_piece(text: str, span: Span) -> Piece:
    """Text that was computed: all of it points at ``span``."""
    return Piece(text=text, locate=lambda _offset: span)


class Kind(StrEnum):
    """What a segment of template text is."""

    TEXT = "text"
    EXPRESSION = "expression"
    STATEMENT = "statement"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one kind. ``text`` includes the braces; ``start`` is its offset in the source.

    ``fixed`` is the text of an expression that is the same for every reader (``{{ brand.ink }}``).
    """

    kind: Kind
    text: str
    start: int
    fixed: str | None = None

    @property
    def inner(self) -> str:
        """What stands between the braces."""
        return self.text[2:-2].strip("-+ \t\n")


MAX_JINJA: Final = 500
"""Characters of one expression or statement: enough for a sentence of choices, too few to nest without end."""
MAX_NESTING: Final = 12

_OPENING = re.compile(r"\{\{|\{%|\{#")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_KINDS = {"{{": Kind.EXPRESSION, "{%": Kind.STATEMENT, "{#": Kind.COMMENT}
_QUOTED_OR_END = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\}\}|%\}|\{\{|\{%""", re.DOTALL)


def segments(source: Source) -> list[Segment]:
    """The text cut into static text, expressions, statements and comments. Raises Fault for one never closed."""
    text = source.text
    found: list[Segment] = []
    position = depth = 0
    while opening := _OPENING.search(text, position):
        if opening.start() > position:
            found.append(Segment(Kind.TEXT, text[position : opening.start()], position))
        end = _closing(text, opening)
        if end < 0:
            message = f"{opening[0]} is never closed"
            raise source.fault(opening.start(), Code.SYNTAX, message, f"write {_CLOSING[opening[0]]}", width=2)
        segment = Segment(_KINDS[opening[0]], text[opening.start() : end], opening.start())
        if segment.kind is Kind.STATEMENT and segment.inner == "raw":
            hint = "write {{ '{{' }} for the braces themselves"
            raise source.fault(segment.start, Code.NOT_ALLOWED, "a template may not contain raw", hint, width=2)
        if len(segment.text) > MAX_JINJA and segment.kind is not Kind.COMMENT:
            raise source.fault(segment.start, Code.TOO_LARGE, f"more than {MAX_JINJA} characters in one {segment.kind}")
        depth += _step(segment)
        if depth > MAX_NESTING:
            raise source.fault(segment.start, Code.TOO_LARGE, f"more than {MAX_NESTING} blocks inside each other")
        found.append(segment)
        position = end
    if position < len(text):
        found.append(Segment(Kind.TEXT, text[position:], position))
    return found


def _step(segment: Segment) -> int:
    """+1 where a block begins, -1 where it ends."""
    if segment.kind is not Kind.STATEMENT:
        return 0
    word = segment.inner.partition(" ")[0]
    return 1 if word in ("if", "for") else -1 if word in ("endif", "endfor") else 0


def _closing(text: str, opening: re.Match[str]) -> int:
    """The offset after the closing braces, or -1."""
    wanted = _CLOSING[opening[0]]
    if wanted == "#}":
        end = text.find(wanted, opening.end())
        return end + 2 if end >= 0 else -1
    position = opening.end()
    while match := _QUOTED_OR_END.search(text, position):
        if match[0] == wanted:
            return match.end()
        if match[0] in _KINDS:
            return -1
        position = match.end() if match[0][0] in "'\"" else match.start() + 1
    return -1


class Spread:
    """The source with each piece of Jinja on a line of its own, for the parser, which names lines only."""

    __slots__ = ("_lines", "_parts", "_source", "text")

    def __init__(self, source: Source, parts: list[Segment]) -> None:
        self._source = source
        self._parts: list[Segment] = []
        self._lines: list[int] = []
        written: list[str] = []
        line = 1
        for part in parts:
            if part.kind is not Kind.TEXT:
                written.append("\n")
                line += 1
                self._parts.append(part)
                self._lines.append(line)
            written.append(part.text)
            line += part.text.count("\n")
        self.text: Final = "".join(written)

    def place(self, line: int, word: str = "") -> Span:
        """Where ``word`` (or the Jinja) on a 1-based line of ``text`` stands in its file."""
        index = bisect_right(self._lines, line) - 1
        if index < 0:
            return self._source.place(0)
        part = self._parts[index]
        found = re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", part.text) if word else None
        if found:
            return self._source.place(part.start + found.start(), len(word))
        return self._source.place(part.start, len(part.text.partition("\n")[0]))
