"""docs/errors.md explains every error code that the program can raise, and no other."""

import re

from doc_pages import DOCS, table
from error_codes import raised

PAGE = DOCS / "errors.md"


def documented() -> list[str]:
    return [row[0].strip("`") for row in table(PAGE) if re.fullmatch(r"`[a-z_]+(\.[a-z_]+)?`", row[0])]


def test_every_code_of_an_error_is_a_literal_so_that_it_can_be_looked_up() -> None:
    assert raised().get("", []) == []


def test_every_code_is_explained_once_and_every_explained_code_exists() -> None:
    codes = documented()
    assert len(codes) == len(set(codes))
    assert set(codes) == set(raised())
