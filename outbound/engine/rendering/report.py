"""Problems of templates, collected in the order of the files."""

from collections.abc import Iterable
from dataclasses import replace

from outbound.domain.release import Files
from outbound.domain.source import Problem, Severity, Span
from outbound.engine.rendering.codes import Code
from outbound.engine.rulefiles.findings import Findings


class Report:
    """Everything found in the templates. ``yaml`` collects what the YAML reader finds."""

    __slots__ = ("yaml",)

    def __init__(self) -> None:
        self.yaml = Findings()

    def error(self, code: Code, span: Span, message: str, hint: str = "") -> None:
        """Note something that refuses the release."""
        self.add([Problem(span=span, message=message, code=code, suggestion=hint)])

    def warning(self, code: Code, span: Span, message: str, hint: str = "") -> None:
        """Note something that is probably a mistake."""
        self.add([Problem(span=span, message=message, code=code, suggestion=hint, severity=Severity.WARNING)])

    def add(self, problems: Iterable[Problem]) -> None:
        """Note problems made elsewhere; a layout's problem is found once per template and kept once."""
        for problem in problems:
            if problem not in self.yaml.problems:
                self.yaml.add(problem)

    @property
    def errors(self) -> int:
        """How many problems refuse the release."""
        return self.yaml.errors

    def problems(self, files: Files) -> tuple[Problem, ...]:
        """All problems by place, each with the line of the file it is about."""
        lines: dict[str, list[str]] = {}
        found = []
        for problem in sorted(self.yaml.problems, key=lambda p: p.span):
            name = problem.span.file
            if name not in lines:
                lines[name] = files.get(name, b"").decode("utf-8", "replace").splitlines()
            number = problem.span.line - 1
            line = lines[name][number] if number < len(lines[name]) else ""
            found.append(problem if problem.source_line else replace(problem, source_line=line[:300]))
        return tuple(found)
