"""Finding the tests of a set of files and living through each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outbound.domain.errors import OutboundError
from outbound.domain.release import Files, Ruleset
from outbound.domain.source import Problem
from outbound.engine.rendering import Templates
from outbound.services import releases
from outbound.services.forecast.scratch import empty
from outbound.services.releases import Active
from outbound.services.ruletests.coverage import Coverage, Uncovered
from outbound.services.ruletests.judging import judge
from outbound.services.ruletests.reading import read_tests
from outbound.services.ruletests.record import Record, read
from outbound.services.ruletests.values import Failure, RuleTest
from outbound.services.ruletests.world import active_of, live_through

FOLDER = "rules/tests/"
SUFFIX = ".test.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One test that ran. ``checks`` is how many things it asserts."""

    test: RuleTest
    failures: tuple[Failure, ...]

    @property
    def passed(self) -> int:
        """The assertions that held."""
        return max(self.test.checks - len(self.failures), 0)


@dataclass(slots=True, kw_only=True)
class Suite:
    """Everything that was run. ``problems`` are files that could not be read: nothing of them ran."""

    outcomes: list[Outcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    uncovered: list[Uncovered] = field(default_factory=list)

    @property
    def failures(self) -> list[Failure]:
        """Every assertion that did not hold."""
        return [failure for one in self.outcomes for failure in one.failures]

    @property
    def passed(self) -> int:
        """How many held."""
        return sum(one.passed for one in self.outcomes)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.failures


def find_tests(rules_dir: Path) -> dict[str, bytes]:
    """The test files of a folder of rules, by the name they have in a set: ``rules/tests/x.test.yaml``."""
    folder = rules_dir / "tests"
    return {
        FOLDER + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob(f"*{SUFFIX}"))
        if path.is_file()
    }


def run_tests(files: Files, tests: Mapping[str, bytes], *, progress: Callable[[str], None] = lambda _: None) -> Suite:
    """Run every test of ``tests`` against the rules in ``files``, which must pass the check.

    Raises OutboundError ``test.files`` where they do not.
    """
    runner = Runner(files)
    suite, coverage = Suite(), Coverage()
    for path, content in tests.items():
        found = read_tests(path, content, runner.ruleset, files)
        if isinstance(found, tuple):
            suite.problems += found
            continue
        for test in found:
            progress(test.name)
            suite.outcomes.append(runner.run(test, coverage))
    suite.uncovered = coverage.missing(runner.ruleset)
    return suite


class Runner:
    """The set that is tested, compiled once for each policy a test names."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.ruleset, self.templates = self._compiled("")

    def run(self, test: RuleTest, coverage: Coverage | None = None) -> Outcome:
        """Live through one test, and judge it."""
        active, record = self.live(test)
        if coverage is not None:
            coverage.add(test, active.ruleset, record)
        return Outcome(test=test, failures=tuple(judge(test, active, record)))

    def live(self, test: RuleTest) -> tuple[Active, Record]:
        """Live through one test: its release, and what came of it."""
        active = active_of(test, *self._compiled(test.policy))
        with empty() as scratch:
            live_through(scratch, test, active)
            return active, read(scratch)

    def _compiled(self, policy: str) -> tuple[Ruleset, Templates]:
        files = {**self._files, "rules/policy.yaml": self._files[policy]} if policy else self._files
        if policy:
            files = {name: content for name, content in files.items() if name != policy}
        checked = releases.check(files)
        if checked.ruleset is None or checked.templates is None:
            first = checked.errors[0]
            raise OutboundError("test.files", f"{first.span}: {first.message}", "run `outbound check`")
        return checked.ruleset, checked.templates


def refusing(
    files: Files, tests: Mapping[str, bytes], *, progress: Callable[[str], None] = lambda _: None
) -> tuple[Problem, ...]:
    """Why the tests of a set refuse it, () where they hold. A set that does not pass the check is refused by that."""
    if not tests or releases.check(files).errors:
        return ()
    return tuple(problems_of(run_tests(files, tests, progress=progress)))


def problems_of(suite: Suite) -> Iterator[Problem]:
    """What a suite found wrong, as problems of the files."""
    yield from suite.problems
    for failure in suite.failures:
        message = (
            f"test {failure.test}: {failure.subject}: {'; '.join(' '.join(line.split()) for line in failure.lines)}"
        )
        yield Problem(span=failure.span, message=message, code="rule-test")


def chosen(tests: Mapping[str, bytes], names: Sequence[str]) -> dict[str, bytes]:
    """Those of ``tests`` whose path ends with one of ``names``; all where none is given.

    Raises OutboundError ``test.none``.
    """
    if not names:
        return dict(tests)
    found = {path: tests[path] for name in names for path in tests if path.endswith(name.removeprefix("./"))}
    if not found:
        raise OutboundError("test.none", f"no test file is called {', '.join(names)}", f"they end in {SUFFIX}")
    return found
