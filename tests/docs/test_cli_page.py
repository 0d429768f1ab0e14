"""docs/cli.md is what the commands say about themselves."""

from cli_page import PAGE, page


def test_the_page_of_commands_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run scripts/docs-cli"
