"""docs/tutorial.md is run: its files are written, its commands executed, and the answers are those on the page."""

from pathlib import Path

import pytest
from doc_pages import DOCS
from doc_session import Session


def test_following_the_tutorial_gives_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Session(tmp_path, monkeypatch).follow(DOCS / "tutorial.md") > 10
