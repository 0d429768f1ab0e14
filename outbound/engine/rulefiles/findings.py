"""Problems are collected, never raised: one reading of the files reports everything that is wrong with them."""

from collections.abc import Iterable
from difflib import get_close_matches

from outbound.domain.source import Problem, Severity, Span
from outbound.engine.rulefiles.codes import Code

_LONGEST_WORD = 80
"""Comparing words is quadratic in their length; a longer one is no misspelling."""

_FEW = 12
"""So many names still help as a list."""


class Findings:
    """Everything found so far, in the order of finding. ``unreadable``: some document could not be read at all."""

    __slots__ = ("errors", "problems", "unreadable")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.errors = 0
        self.unreadable = False

    def error(self, code: Code, span: Span, message: str, hint: str = "") -> None:
        """Note something that refuses the release."""
        self.add(Problem(span=span, message=message, code=code, suggestion=hint))

    def warning(self, code: Code, span: Span, message: str, hint: str = "") -> None:
        """Note something that is probably a mistake."""
        self.add(Problem(span=span, message=message, code=code, severity=Severity.WARNING, suggestion=hint))

    def add(self, problem: Problem) -> None:
        """Note a problem made elsewhere."""
        self.problems.append(problem)
        self.errors += problem.severity is Severity.ERROR


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` most probably misspells."""
    if len(word) > _LONGEST_WORD:
        return None
    spelled = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(word.lower(), spelled, n=1, cutoff=0.6)
    return spelled[found[0]] if found else None


def near_hint(word: str, candidates: Iterable[str]) -> str:
    """``did you mean once?``, or nothing."""
    near = nearest(word, candidates)
    return f"did you mean {near}?" if near else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``did you mean once?``, the list of a few candidates where nothing is near, or nothing."""
    known = sorted(candidates)
    near = near_hint(word, known)
    if near:
        return near
    return f"known: {', '.join(known)}" if 0 < len(known) <= _FEW else ""
