"""The pytest plugin: collects ``rules/tests/*.test.yaml`` beside the tests in Python.

Loaded by pytest itself where Outbound is installed; it does nothing until it meets such a file. The templates are
those in ``templates`` beside the folder of rules.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from outbound.domain.release import Files
    from outbound.services.ruletests import RuleTest

_SUFFIX = ".test.yaml"
_FOLDER = "tests"


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """Collect a file of rule tests: one that lies in a folder ``tests`` under a folder with a policy."""
    if file_path.name.endswith(_SUFFIX) and _rules_of(file_path) is not None:
        return RuleTestFile.from_parent(parent, path=file_path)
    return None


class RuleTestFile(pytest.File):
    """One file of rule tests."""

    def collect(self) -> Iterator["RuleTestItem"]:
        """Read the tests; mistakes in the file fail its collection with their places."""
        from outbound.services.ruletests.reading import read_tests  # noqa: PLC0415 - only where there is such a file
        from outbound.services.ruletests.running import Runner  # noqa: PLC0415

        rules = _rules_of(self.path)
        if rules is None:
            return
        files = _files(rules)
        runner = Runner(files)
        name = f"rules/{self.path.relative_to(rules).as_posix()}"
        found = read_tests(name, self.path.read_bytes(), runner.ruleset, files)
        if isinstance(found, tuple):
            raise self.CollectError("\n".join(problem.render() for problem in found))
        for test in found:
            yield RuleTestItem.from_parent(self, name=test.name, test=test, runner=runner)


class RuleTestItem(pytest.Item):
    """One rule test."""

    def __init__(self, *, test: "RuleTest", runner: Any, **more: Any) -> None:
        super().__init__(**more)
        self._test, self._runner = test, runner

    def runtest(self) -> None:
        """Live through it. Raises RuleTestFailed."""
        outcome = self._runner.run(self._test)
        if outcome.failures:
            raise RuleTestFailed("\n".join(failure.render() for failure in outcome.failures))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:  # noqa: ARG002 - pytest's own signature
        """The differences alone: a traceback through the engine says nothing about a rule."""
        if isinstance(excinfo.value, RuleTestFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the test stands."""
        return self.path, self._test.span.line - 1, f"rule test: {self.name}"


class RuleTestFailed(Exception):  # noqa: N818 - it says what happened
    """Some assertions of a rule test do not hold."""


def _rules_of(file: Path) -> Path | None:
    """The folder of rules a test file belongs to."""
    for parent in file.parents:
        if parent.name == _FOLDER and (parent.parent / "policy.yaml").is_file():
            return parent.parent
    return None


@lru_cache(maxsize=4)
def _files(rules: Path) -> "Files":
    from outbound.services import working_copy  # noqa: PLC0415 - as above

    return working_copy.read_files(rules, rules.parent / "templates")
