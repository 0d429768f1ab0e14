"""Places in rule files and the problems found there."""

from dataclasses import dataclass
from enum import StrEnum
from unicodedata import combining, east_asian_width


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Where something stands in a file: 1-based line and column, ``width`` columns long."""

    file: str
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Severity(StrEnum):
    """Errors refuse a release, warnings do not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One finding of ``outbound check``: where, what, and the word or step that mends it.

    ``code`` is stable (documented in docs/check.md); ``source_line`` is the text of the offending line.
    """

    span: Span
    message: str
    code: str
    severity: Severity = Severity.ERROR
    suggestion: str = ""
    source_line: str = ""

    def render(self) -> str:
        """The three-line form: ``file:line:column: severity: message``, the source line, a caret and the hint.

        The caret stands right under wide characters too; a very long line is shown around the place.
        """
        head = f"{self.span}: {self.severity}: {self.message}"
        if not self.source_line.strip():
            return head + (f"\n      {self.suggestion}" if self.suggestion else "")
        start = max(0, self.span.column - _SHOWN // 2) if len(self.source_line) > _SHOWN else 0
        shown = "".join(c if c.isprintable() else " " for c in self.source_line[start : start + _SHOWN])
        place = min(self.span.column - 1 - start, len(shown))
        width = max(1, _cells(shown[place : place + self.span.width]))
        caret = f"      | {' ' * _cells(shown[:place])}{'^' * width}"
        return f"{head}\n{self.span.line:5} | {shown}\n{caret}" + (f" {self.suggestion}" if self.suggestion else "")


_SHOWN = 160
"""Characters of a line that fit a terminal with some patience."""


def _cells(text: str) -> int:
    """Columns of a terminal: wide characters (UAX #11) take two, combining ones none."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
