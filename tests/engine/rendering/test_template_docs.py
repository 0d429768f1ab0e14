"""docs/templates.md and the code name the same codes, filters, tests and limits."""

import re

from template_workbench import ROOT

from outbound.engine.rendering import language, source, values
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.environment import TESTS
from outbound.engine.rendering.templates import MAX_OUTPUT, MAX_SUBJECT

TEXT = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")


def test_every_problem_code_is_documented_and_every_documented_code_exists() -> None:
    assert set(re.findall(r"^\| `(template-[a-z0-9-]+)` \|", TEXT, re.MULTILINE)) == set(Code)


def test_every_filter_and_test_is_documented() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| filters"))
    named = {match.partition("(")[0] for match in re.findall(r"`([^`]+)`", row)}
    assert named == set(language.FILTERS) - {"d", "escape"}, "d and escape are short and long names of documented ones"
    row = next(line for line in TEXT.splitlines() if line.startswith("| tests"))
    assert {match.removeprefix("is ") for match in re.findall(r"`([^`]+)`", row)} == set(TESTS)


def test_every_layout_name_is_documented() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| in layouts"))
    assert set(re.findall(r"`([^`]+)`", row)) == {"content", *language.LAYOUT_NAMES}


def test_the_limits_are_those_of_the_code() -> None:
    for number in (source.MAX_JINJA, source.MAX_NESTING, values.MAX_VALUES, values.MAX_TEXT, MAX_OUTPUT, MAX_SUBJECT):
        assert f"{number:,}" in TEXT
