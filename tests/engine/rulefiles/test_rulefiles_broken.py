"""Files with one flaw each: the exact sentence, place, caret and hint (the cases stand in broken/)."""

import re
import time

import pytest
from broken_files import Case, read_cases
from rulefile_samples import HERE, good_files, problems_of

from outbound.domain.source import Severity
from outbound.engine.rulefiles import Code, Loaded, load

CASES = [
    pytest.param(case, id=f"{p.stem}-{case.flaw}") for p in sorted(HERE.glob("broken/*.txt")) for case in read_cases(p)
]


LIMIT = 0.1
load(good_files())  # whatever is read only once is read now


@pytest.mark.parametrize("case", CASES)
def test_the_flaw_is_reported_in_these_words_at_this_place(case: Case) -> None:
    """An error also refuses the whole set, and a warning does not. It takes less than 100 ms of this process's time."""
    files = case.files()
    loaded, spent = _timed(files)
    if spent >= LIMIT:  # the machine may be busy with something else
        spent = min(_timed(files)[1] for _ in range(3))
    assert spent < LIMIT
    assert "\n".join(p.render() for p in loaded.problems) == case.expected
    assert (loaded.ruleset is None) == any(p.severity is Severity.ERROR for p in loaded.problems)


def _timed(files: dict[str, bytes]) -> tuple[Loaded, float]:
    started = time.process_time()
    loaded = load(files)
    return loaded, time.process_time() - started


def test_every_code_of_the_loader_is_met_by_a_flaw_or_by_a_test_of_its_own() -> None:
    met = {p.code for param in CASES for p in problems_of(param.values[0].files())}
    # test_rulefiles_files.py, test_rulefiles_limits.py, test_policy_values.py, test_rulefiles_overlaps.py
    elsewhere = {Code.MISSING_FILE, Code.FILE_NAME, Code.TOO_LARGE, Code.NO_RECEIPTS, Code.OVERLAP}
    assert set(Code) - met == elsewhere


def _keys(path: str) -> list[tuple[int, str]]:
    """Every key of a file that the language defines (not names the author chose), by line."""
    text = good_files()[path].decode()
    return [
        (m.start(1), m[1])
        for m in re.finditer(r"(?:^|[{,-])[ ]*(?!batch|plain|discount)([a-z_0-9]+): ?", text, re.MULTILINE)
    ]


RULE_FILES = ["rules/orders.yaml", "rules/news.yaml", "rules/dates.yaml", "rules/recall.yaml", "rules/growth.yaml"]


@pytest.mark.parametrize(("path", "place", "key"), [(p, i, k) for p in RULE_FILES for i, k in _keys(p)])
def test_mutating_any_key_of_a_rule_refuses_the_set_and_points_at_the_line(path: str, place: int, key: str) -> None:
    """Fault F50: one wrong key anywhere, and the whole new set is rejected with its place."""
    files = good_files()
    text = files[path].decode()
    files[path] = (text[:place] + f"x{key}" + text[place + len(key) :]).encode()
    loaded = load(files)
    assert loaded.ruleset is None
    line = text.count("\n", 0, place) + 1
    assert any(p.span.file == path and p.span.line == line and p.severity is Severity.ERROR for p in loaded.problems)
