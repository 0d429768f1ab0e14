"""Every error of the condition checker: its place, its sentence and the way to write it, word for word."""

from pathlib import Path

import pytest
from condition_schema import BARE, SCOPE, START, marked, problems_of

from outbound.domain.source import Severity, Span
from outbound.engine.conditions import Scope, compile_clause

_BLOCKS = Path(__file__).with_name("errors.txt").read_text(encoding="utf-8").strip().split("\n\n")
ERRORS = [tuple(block.split("\n")) for block in _BLOCKS]
"""Each: the condition, and below it the piece pointed at, the code, the sentence and the suggestion."""


@pytest.mark.parametrize(("text", "finding"), ERRORS)
def test_each_error_points_at_its_piece_and_says_what_to_write(text: str, finding: str) -> None:
    clause, (problem,) = compile_clause(text, span=START, scope=SCOPE)
    assert clause is None
    caret = " " * (problem.span.column - START.column) + "^" * problem.span.width
    hint = f" -> {problem.suggestion}" if problem.suggestion else ""
    assert f"{caret} {problem.code}: {problem.message}{hint}" == finding
    assert problem.severity is Severity.ERROR
    assert (problem.span.file, problem.span.line) == (START.file, START.line)


def test_all_errors_of_a_condition_are_reported_at_once() -> None:
    text = "customer.contry == 'DE' and customer.plan == 'gold' or days_until(customer.city) < 3"
    assert [marked(text, problem) for problem in problems_of(text)] == ["customer.contry", "'gold'", "customer.city"]


def test_an_empty_condition_is_an_error() -> None:
    (problem,) = problems_of("  ")
    assert (problem.message, problem.suggestion) == ("the condition is empty", "leave it out to mean everyone")


def test_control_characters_in_a_text_are_refused() -> None:
    """PostgreSQL cannot store a NUL; a line break in a constant is a slip of YAML."""
    (problem,) = problems_of("customer.city == 'a\x00b'")
    assert problem.message == "text may not hold control characters"


def test_a_place_in_a_block_of_several_lines() -> None:
    """Lines of a block scalar start in the column of the first."""
    (problem,) = problems_of("customer.is_adult\nand customer.plan == 'gold'")
    assert problem.span == Span("rules/a.yaml", 8, 5 + len("and customer.plan == "), len("'gold'"))


def test_event_fields_are_those_of_the_triggering_event() -> None:
    scope = Scope(schema=SCOPE.schema, event="order.shipped")
    clause, problems = compile_clause("event.carrier != 'pickup'", span=START, scope=scope)
    assert clause is not None
    assert problems == []
    text = "event.total > 3"
    (problem,) = problems_of(text, scope)
    assert problem.message == "'event.total' is not a field of order.shipped in rules/schema.yaml"


def test_where_speaks_about_the_event_it_counts() -> None:
    """Inside where, event.x is the counted event, also in a rule about another event."""
    scope = Scope(schema=SCOPE.schema, event="order.shipped")
    assert problems_of("happened(order.placed, where event.total > 3)", scope) == []
    (problem,) = problems_of("happened(order.placed, where event.carrier == 'dhl')", scope)
    assert problem.message == "'event.carrier' is not a field of order.placed in rules/schema.yaml"


def test_a_segment_with_its_own_errors_is_not_reported_twice() -> None:
    assert compile_clause("segment.broken", span=START, scope=SCOPE) == (None, [])


@pytest.mark.parametrize("name", ["id", "email", "phone", "country", "language", "timezone"])
def test_reserved_attributes_are_text_without_being_declared(name: str) -> None:
    assert not [p for p in problems_of(f"customer.{name} == 'x'") if p.severity is Severity.ERROR] or name == "country"


def test_the_schema_narrows_a_reserved_attribute() -> None:
    (problem,) = problems_of("customer.country == 'XX'", BARE)
    assert problem.message == "'XX' is not a value of customer.country (DE, AT, CH, FR, NO)"


@pytest.mark.parametrize(
    "text",
    [
        "not " * 4_000 + "customer.is_adult",
        "lower(" * 1_500 + "customer.city" + ")" * 1_500 + " == 'a'",
        "(customer.city" + " ?? customer.city" * 900 + ") == 'a'",
        "not (" * 2_000 + "customer.is_adult" + ")" * 2_000,
    ],
)
def test_deep_nesting_is_an_error_not_a_crash(text: str) -> None:
    (problem,) = problems_of(text)
    assert problem.message == "the condition nests deeper than 20 levels"


def test_parentheses_alone_nest_freely() -> None:
    assert problems_of("(" * 9_000 + "customer.is_adult" + ")" * 9_000) == []


def test_too_long_a_text_is_not_read() -> None:
    (problem,) = problems_of("customer.is_adult" + " " * 20_000)
    assert problem.message == "the condition has 20,017 characters, at most 20,000 are read"


def test_too_many_tests_are_an_error() -> None:
    (problem,) = problems_of(" and ".join(["customer.is_adult"] * 401))
    assert problem.message == (
        "with its segments the condition has 401 parts on 2 levels, at most 400 on 40 are allowed"
    )


def test_segments_of_segments_cannot_grow_without_bound() -> None:
    """Each segment mentions the one before three times; written out, the sixth would have 729 tests."""
    segments = dict(SCOPE.segments)
    for level in range(8):
        inner = f"segment.s{level - 1}" if level else "customer.is_adult"
        scope = Scope(schema=SCOPE.schema, segments=segments)
        clause, problems = compile_clause(f"{inner} or {inner} or {inner}", span=START, scope=scope)
        if clause is None:
            assert problems[0].code == "condition-size"
            return
        segments[f"s{level}"] = (clause,)
    pytest.fail("nothing stopped the growth")
