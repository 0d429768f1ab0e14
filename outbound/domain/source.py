"""Places in rule files and the problems found there."""

from dataclasses import dataclass
from enum import StrEnum


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
        """The three-line form: ``file:line:column: severity: message``, the source line, a caret and the hint."""
        head = f"{self.span}: {self.severity}: {self.message}"
        if not self.source_line:
            return head + (f"\n      {self.suggestion}" if self.suggestion else "")
        number = f"{self.span.line:5} | "
        caret = " " * (len(number) - 2) + "| " + " " * (self.span.column - 1) + "^" * max(1, self.span.width)
        return f"{head}\n{number}{self.source_line}\n{caret}" + (f" {self.suggestion}" if self.suggestion else "")
