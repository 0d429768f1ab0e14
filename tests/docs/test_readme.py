"""The README's commands are run, and what it shows is what they print.

``sh`` blocks right under a line ``<!-- tested -->`` are run in order in a new clone. A block without a language
that follows one of them shows a part of the output so far.
"""

import pytest
from checkout import QUICKSTART, ROOT, first_day
from doc_pages import Block, agrees, blocks, masked

README = ROOT / "README.md"
MARK = "<!-- tested -->"


def is_tested(block: Block) -> bool:
    above = README.read_text(encoding="utf-8").splitlines()[block.line - 2]
    return block.kind == "sh" and above == MARK


@pytest.mark.timeout(330)  # it installs an environment first, which its own limit of 300 s allows for
def test_the_readme_is_what_happens(tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout, day = first_day(tmp_path_factory)
    printed: list[str] = []
    ran = shown = 0
    for block in blocks(README):
        if is_tested(block):
            printed += masked(day if block.body.strip() == QUICKSTART else checkout.run(block.body))
            ran += 1
        elif not block.kind and printed:
            expected = masked(block.body)
            assert agrees(["...", *expected, "..."], printed), "\n".join(("the README shows", *expected))
            shown += 1
    assert ran >= 2, f"mark the blocks that a reader runs with {MARK}"
    assert shown >= 1, "show the end of what scripts/quickstart prints, in a block without a language"
    assert checkout.changes() == ""


def test_the_first_command_of_the_readme_is_the_demo() -> None:
    assert next(block.body for block in blocks(README) if block.kind == "sh").strip() == QUICKSTART
    assert next(filter(is_tested, blocks(README))).body.strip() == QUICKSTART
