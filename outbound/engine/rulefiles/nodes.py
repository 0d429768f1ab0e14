"""A YAML document as a tree that remembers where everything stands.

No value is interpreted here: ``NO``, ``22:00`` and ``1.10`` are the texts the author wrote (fault K3), and the reader
of a key decides what they mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from outbound.domain.source import Span

DOCUMENT = "document"
"""The name of the root of a document."""

_EMPTY = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A text. ``name`` is the key it stands under.

    ``raw`` is the source where it differs from ``text`` (quotes, escapes, several lines), else empty.
    """

    text: str
    span: Span
    name: str
    plain: bool = True
    raw: str = ""

    @property
    def empty(self) -> bool:
        """No value: nothing after the key, or YAML's null."""
        return self.plain and self.text in _EMPTY

    def place(self, offset: int, width: int = 1) -> Span:
        """Where ``text[offset:offset + width]`` stands in the file."""
        if not self.raw:
            return Span(self.span.file, self.span.line, self.span.column + offset, max(1, width))
        positions = self._positions()
        if positions is None:
            return self.span
        line, column = positions[min(offset, len(positions) - 1)]
        last_line, last = positions[min(offset + max(1, width) - 1, len(positions) - 1)]
        return Span(self.span.file, line, column, max(1, last - column + 1) if last_line == line else 1)

    def _positions(self) -> list[tuple[int, int]] | None:
        """(line, column) of every character of ``text``, found by walking ``raw`` beside it; None where lost.

        Whatever stands in ``raw`` but not in ``text`` is layout: quotes, doubled quotes, backslashes, indentation.
        """
        found: list[tuple[int, int]] = []
        line, column = self.span.line, self.span.column
        source = iter(self.raw)
        if self.raw[0] in "|>":  # a block begins on the line after its indicator
            for character in source:
                if character == "\n":
                    break
            line, column = line + 1, 1
        for wanted in self.text:
            if wanted in " \n" and found:  # folding turns line ends into blanks; the next word finds its own place
                found.append((found[-1][0], found[-1][1] + 1))
                continue
            for character in source:
                here = (line, column)
                line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
                if character == wanted:
                    found.append(here)
                    break
            else:
                return None
        return found or None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list. The items carry the list's own name."""

    items: tuple["Node", ...]
    span: Span
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping with its keys as written, each once. ``flow`` is the form in braces."""

    entries: tuple[tuple[ScalarNode, "Node"], ...]
    span: Span
    name: str
    flow: bool = False

    def __iter__(self) -> Iterator[tuple[ScalarNode, "Node"]]:
        return iter(self.entries)

    def get(self, key: str) -> "Node | None":
        """The value under ``key``."""
        return next((value for name, value in self.entries if name.text == key), None)


Node = ScalarNode | ListNode | MapNode
