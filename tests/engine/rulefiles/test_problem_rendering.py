"""How a problem looks in a terminal."""

from outbound.domain.source import Problem, Severity, Span


def shown(line: str, column: int, width: int = 1, hint: str = "") -> list[str]:
    span = Span("rules/x.yaml", 7, column, width)
    problem = Problem(span=span, message="wrong", code="x", suggestion=hint, source_line=line)
    return problem.render().split("\n")


def test_three_lines_with_the_caret_under_the_place() -> None:
    assert shown("who: custmer.x", 6, 9, "did you mean customer.x?") == [
        "rules/x.yaml:7:6: error: wrong",
        "    7 | who: custmer.x",
        "      |      ^^^^^^^^^ did you mean customer.x?",
    ]


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert shown("名前: x", 5)[2] == "      |       ^"
    assert shown("e\u0301: x", 5)[2] == "      |    ^"


def test_tabs_and_escapes_never_reach_the_terminal() -> None:
    assert shown("a\t\x1b[2Jb", 2)[1] == "    7 | a  [2Jb"


def test_a_very_long_line_is_shown_around_the_place() -> None:
    line = "a" * 5000 + "HERE" + "b" * 5000
    head, excerpt, caret = shown(line, 5001, 4)
    assert head.startswith("rules/x.yaml:7:5001:")
    assert len(excerpt) < 200
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == "HERE"


def test_without_a_line_the_hint_stands_below() -> None:
    assert shown("", 1, hint="write one") == ["rules/x.yaml:7:1: error: wrong", "      write one"]


def test_a_warning_says_so() -> None:
    problem = Problem(span=Span("a", 1, 1), message="m", code="x", severity=Severity.WARNING)
    assert problem.render() == "a:1:1: warning: m"
