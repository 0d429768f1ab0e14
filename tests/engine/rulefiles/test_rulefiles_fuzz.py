"""Whatever is done to good files, the loader answers with problems and never with an exception."""

from hypothesis import given, settings
from hypothesis import strategies as st
from rulefile_samples import good_files

from outbound.engine.rulefiles import load

PATHS = sorted(path for path in good_files() if path.startswith("rules/"))
PIECES = [
    "",
    "\n",
    "  ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "'",
    '"',
    " # ",
    "|",
    "&a ",
    "null",
    "---\n",
    "\t",
    "é",
    "😀",
    "9999",
    "-1",
    ",",
    "? ",
]


@given(
    st.sampled_from(PATHS),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=3),
)
@settings(max_examples=120, deadline=None)
def test_no_edit_raises_and_every_problem_has_a_place_in_the_file(
    path: str, edits: list[tuple[float, int, str]]
) -> None:
    files = good_files()
    text = files[path].decode()
    for share, removed, piece in edits:
        start = int(share * len(text))
        text = text[:start] + piece + text[start + removed :]
    files[path] = text.encode()
    loaded = load(files)
    for problem in loaded.problems:
        assert problem.span.line >= 1
        assert problem.span.column >= 1
        assert problem.render().startswith(str(problem.span))
    assert loaded.ruleset is not None or loaded.problems
