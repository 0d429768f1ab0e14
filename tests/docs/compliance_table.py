"""The table of docs/compliance.md, written from the tests that name each statement. Run it after adding such a test."""

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compliance.md"
STATEMENTS = 45
OPEN = ("not yet", "comes with the pages", "comes with what comes in")
"""What stands in the last column of a statement without a test: nobody's, or whose work it is."""

_ROW = re.compile(r"^\| (C\d{2}) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_NAMED = re.compile(r"\bC(\d{2})(?:-C(\d{2}))?\b|_c(\d{2})(?=_)")


def named_by_tests() -> dict[str, list[str]]:
    """The tests that name each statement in their name, docstring or a remark: the first of each file."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT / "tests").as_posix()
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for statement in _statements(ast.get_source_segment(text, node) or ""):
                    found[statement].setdefault(path, f"{path}::{node.name}")
    return {statement: sorted(files.values()) for statement, files in found.items()}


def _statements(text: str) -> list[str]:
    numbers: set[int] = set()
    for first, last, lower in _NAMED.findall(text):
        start = int(first or lower)
        numbers.update(range(start, int(last or start) + 1))
    return [f"C{number:02}" for number in sorted(numbers)]


def rows() -> dict[str, tuple[str, list[str]]]:
    """What the page says: words and tests of each statement; no tests for one that is open."""
    listed = {statement: (words, tests) for statement, words, tests in _ROW.findall(PAGE.read_text(encoding="utf-8"))}
    return {
        statement: (words, [] if tests in OPEN else re.findall(r"`([^`]+)`", tests))
        for statement, (words, tests) in listed.items()
    }


def write() -> None:
    """Write the last column anew, where there is a test."""
    tests = named_by_tests()

    def row(found: re.Match[str]) -> str:
        named = ", ".join(f"`{test}`" for test in tests.get(found[1], [])) or (
            found[3] if found[3] in OPEN else OPEN[0]
        )
        return f"| {found[1]} | {found[2]} | {named} |"

    PAGE.write_text(_ROW.sub(row, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
