"""The table of docs/reliability.md, written from the tests that name each fault. Run it after adding such a test."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = 86
NOT_YET = "not yet"

_ROW = re.compile(r"^\| (F\d{2}) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_NAMED = re.compile(r"\bF(\d{2})(?: to F(\d{2})|-F(\d{2}))?\b")


def named_by_tests() -> dict[str, list[str]]:
    """The test files that name each fault, as paths below tests/."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for first, *last in _NAMED.findall(file.read_text(encoding="utf-8")):
            for number in range(int(first), int("".join(last) or first) + 1):
                found[f"F{number:02}"].add(file.relative_to(ROOT / "tests").as_posix())
    return {fault: sorted(files) for fault, files in found.items()}


def rows() -> dict[str, tuple[str, list[str]]]:
    """What the page says: words and test files of each fault; no files for one without a test."""
    listed = {fault: (words, tests) for fault, words, tests in _ROW.findall(PAGE.read_text(encoding="utf-8"))}
    return {
        fault: (words, [] if tests == NOT_YET else re.findall(r"`([^`]+)`", tests))
        for fault, (words, tests) in listed.items()
    }


def write() -> None:
    """Write the last column anew."""
    tests = named_by_tests()

    def row(found: re.Match[str]) -> str:
        named = ", ".join(f"`{file}`" for file in tests.get(found[1], [])) or NOT_YET
        return f"| {found[1]} | {found[2]} | {named} |"

    PAGE.write_text(_ROW.sub(row, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
