"""docs/dependencies.md has a line for every dependency: the locked release and its licence."""

import importlib.metadata
import re
import tomllib

import pytest
from doc_pages import DOCS, ROOT, table

PAGE = DOCS / "dependencies.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DECLARED = {"Runtime": PROJECT["project"]["dependencies"], "Development": PROJECT["dependency-groups"]["dev"]}
LOCKS = {"Runtime": "runtime.txt", "Development": "dev.txt"}
ALLOWED = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-3.0-only"),
    *("MIT", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib"),
}
"""What may be used beside Apache-2.0 as a library. A licence that is new here needs somebody to read it."""


@pytest.mark.parametrize("kind", ["Runtime", "Development"])
def test_every_dependency_has_a_line_and_every_line_a_dependency(kind: str) -> None:
    declared = [re.match(r"[\w.-]+(\[\w+\])?", line) for line in DECLARED[kind]]
    assert [row[0].strip("`") for row in table(PAGE, kind)] == [found[0] for found in declared if found]


@pytest.mark.parametrize("kind", ["Runtime", "Development"])
def test_the_release_is_the_one_in_the_lock(kind: str) -> None:
    lock = (ROOT / "scripts" / "lock" / LOCKS[kind]).read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    assert {row[0]: row[1] for row in table(PAGE, kind)} == {row[0]: pinned[plain(row[0])] for row in table(PAGE, kind)}


@pytest.mark.parametrize("kind", ["Runtime", "Development"])
def test_the_licence_is_one_we_may_use_and_the_one_the_package_states(kind: str) -> None:
    for row in table(PAGE, kind):
        assert set(re.split(" OR | AND ", row[2])) <= ALLOWED, row[0]
        stated = importlib.metadata.metadata(plain(row[0])).get("License-Expression")
        assert stated in {None, row[2]}, row[0]


def plain(name: str) -> str:
    """The name as the lock spells it."""
    return re.sub(r"[-_.]+", "-", name.strip("`").partition("[")[0]).lower()
