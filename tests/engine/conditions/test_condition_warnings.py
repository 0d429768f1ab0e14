"""Warnings: legal conditions that are hardly meant."""

import subprocess
import sys

import pytest
from condition_schema import SCOPE, START, marked, problems_of

from outbound.domain.source import Severity, Span
from outbound.engine.conditions import compile_clause

MISSING = "{} may be missing; a missing value never matches, not even here"
WRITE = "write ({0} ?? <default>) or has({0})"

NEGATIVE = [
    ("not customer.auto_renew", "customer.auto_renew"),
    ("customer.plan != 'free'", "customer.plan"),
    ("customer.country not in ['DE', 'AT']", "customer.country"),
    ("not (customer.score > 3)", "customer.score"),
    ("not (customer.is_adult and customer.status == 'active')", "customer.is_adult"),
    ("lower(customer.city) != 'berlin'", "customer.city"),
    ("(customer.city ?? customer.email) != 'x'", "customer.city"),
    ("happened(order.placed, where event.coupon != 'x')", "event.coupon"),
    ("count(order.placed, where not event.coupon == 'x') > 1", "event.coupon"),
]


@pytest.mark.parametrize(("text", "path"), NEGATIVE)
def test_a_negative_test_of_an_optional_attribute_warns(text: str, path: str) -> None:
    clause, problems = compile_clause(text, span=START, scope=SCOPE)
    assert clause is not None
    problem = problems[0]
    assert (problem.severity, problem.message) == (Severity.WARNING, MISSING.format(path))
    assert (marked(text, problem), problem.suggestion) == (path, WRITE.format(path))


@pytest.mark.parametrize(
    "text",
    [
        "customer.auto_renew",
        "customer.auto_renew == false",
        "not (customer.plan != 'free')",
        "customer.status != 'closed'",
        "(customer.plan ?? 'free') != 'free'",
        "has(customer.plan) and customer.plan != 'free'",
        "not has(customer.plan) or customer.plan != 'free'",
        "has(customer.auto_renew) and (not customer.auto_renew or customer.status == 'closed')",
        "not has(customer.plan)",
        "not happened(order.placed, where event.coupon == 'x')",
        "count(order.placed) != 2",
        "not segment.active_buyers",
    ],
)
def test_what_says_how_missing_values_count_does_not_warn(text: str) -> None:
    assert problems_of(text) == []


def test_days_until_under_negation_asks_for_has() -> None:
    (problem,) = problems_of("days_until(customer.renewal_date) != 3")
    assert problem.suggestion == "write has(customer.renewal_date) and ..."


def test_a_negated_segment_names_the_attribute_it_looks_at() -> None:
    (problem,) = problems_of("not segment.adults")
    assert problem.message == (
        "segment.adults looks at customer.is_adult, which may be missing; a missing value never matches, not even here"
    )


def test_one_attribute_warns_once() -> None:
    assert len(problems_of("customer.plan != 'free' and customer.plan != 'pro' and not customer.is_adult")) == 3


EXCLUDE = " exclude each other, so this is never true"
CONSTANT = [
    ("true", "true", "true is always true", "remove it"),
    ("customer.is_adult or false", "false", "false is never true", "remove it"),
    (
        "'customer.plan' == 'pro'",
        "'customer.plan' == 'pro'",
        "'customer.plan' == 'pro' compares two constants and is never true",
        "write customer.plan without quotes",
    ),
    ("2 >= 1", "2 >= 1", "2 >= 1 compares two constants and is always true", "compare with customer.x"),
    ("1 in [1, 2]", "1 in [1, 2]", "1 in [1, 2] compares constants and is always true", "compare with customer.x"),
    (
        "customer.city == customer.city",
        "customer.city == customer.city",
        "customer.city == customer.city compares a value with itself",
        "compare with something else",
    ),
    (
        "has(customer.status)",
        "has(customer.status)",
        "customer.status is required, so has(customer.status) is always true",
        "remove it",
    ),
    (
        "(customer.status ?? 'active') == 'closed'",
        "customer.status ?? 'active'",
        "customer.status is required, so its default is never used",
        "write customer.status",
    ),
    (
        "(count(order.placed) ?? 0) > 2",
        "count(order.placed) ?? 0",
        "count(order.placed) is never missing, so its default is never used",
        "remove it",
    ),
    (
        "count(order.placed) >= 0",
        "count(order.placed) >= 0",
        "a count is a whole number from 0, so count(order.placed) >= 0 is always true",
        "write >= 1",
    ),
    (
        "0 > count(order.placed)",
        "0 > count(order.placed)",
        "a count is a whole number from 0, so 0 > count(order.placed) is never true",
        "write >= 1",
    ),
    (
        "customer.plan in ['free', 'pro']",
        "customer.plan in ['free', 'pro']",
        "the list holds every value of customer.plan, so this is true whenever customer.plan is known",
        "write has(customer.plan)",
    ),
    ("customer.city in ['a', 'b', 'a']", "'a'", "'a' is listed twice", "remove one"),
    (
        "lower(customer.city) == 'Berlin'",
        "'Berlin'",
        "lower(customer.city) has no capitals, so it never equals 'Berlin'",
        "write 'berlin'",
    ),
    (
        "customer.plan == 'free' and customer.plan == 'pro'",
        "customer.plan == 'free' and customer.plan == 'pro'",
        "no value of customer.plan passes all of these tests, so this is never true",
        "did you mean or?",
    ),
    (
        "customer.status != 'active' or customer.status != 'closed'",
        "customer.status != 'active' or customer.status != 'closed'",
        "every value of customer.status passes one of these tests, so this is true whenever it is known",
        "did you mean and?",
    ),
    (
        "days_until(customer.renewal_date) < 3 and days_until(customer.renewal_date) >= 3",
        "days_until(customer.renewal_date) < 3 and days_until(customer.renewal_date) >= 3",
        "no value of days_until(customer.renewal_date) passes all of these tests, so this is never true",
        "did you mean or?",
    ),
    (
        "happened(order.placed, within 13w) and not happened(order.placed, within 52w)",
        "happened(order.placed, within 13w) and not happened(order.placed, within 52w)",
        "happened(order.placed, within 13w) and not happened(order.placed, within 52w)" + EXCLUDE,
        "did you mean or?",
    ),
    (
        "count(order.placed, where event.total > 3, within 3d) >= 2 and not happened(order.placed, within 1w)",
        "count(order.placed, where event.total > 3, within 3d) >= 2 and not happened(order.placed, within 1w)",
        "count(order.placed, where event.total > 3, within 3d) >= 2 and not happened(order.placed, within 1w)"
        + EXCLUDE,
        "did you mean or?",
    ),
    (
        "not has(customer.plan) and customer.plan == 'free'",
        "not has(customer.plan) and customer.plan == 'free'",
        "customer.plan == 'free' and not has(customer.plan)" + EXCLUDE,
        "did you mean or?",
    ),
    (
        "happened(order.placed) or not happened(order.placed)",
        "happened(order.placed) or not happened(order.placed)",
        "one of happened(order.placed) and not happened(order.placed) holds, so this is true whenever it is known",
        "did you mean and?",
    ),
    (
        "happened(order.placed, where 1 == 2)",
        "1 == 2",
        "1 == 2 compares two constants and is never true",
        "compare with customer.x",
    ),
]


@pytest.mark.parametrize(("text", "piece", "message", "suggestion"), CONSTANT)
def test_constant_parts_warn(text: str, piece: str, message: str, suggestion: str) -> None:
    clause, problems = compile_clause(text, span=START, scope=SCOPE)
    assert clause is not None
    (problem,) = problems
    found = (problem.code, problem.severity, marked(text, problem), problem.message, problem.suggestion)
    assert found == ("constant-part", Severity.WARNING, piece, message, suggestion)


UNREACHABLE = [
    ("customer.country in ['DE', 'AT'] or customer.country == 'DE'", "customer.country == 'DE'"),
    (
        "customer.is_adult and customer.plan == 'pro' or customer.is_adult",
        "customer.is_adult and customer.plan == 'pro'",
    ),
    ("has(customer.plan) or customer.plan == 'pro'", "customer.plan == 'pro'"),
    ("happened(order.placed, within 3d) or happened(order.placed, within 1w)", "happened(order.placed, within 3d)"),
    ("count(order.placed, within 1w) > 4 or happened(order.placed)", "count(order.placed, within 1w) > 4"),
    ("happened(order.placed, within 4w) or happened(order.placed, within 1mo)", "happened(order.placed, within 4w)"),
    ("segment.adults or segment.adults and has(customer.plan)", "segment.adults and has(customer.plan)"),
]


@pytest.mark.parametrize(("text", "piece"), UNREACHABLE)
def test_an_alternative_that_another_covers_warns(text: str, piece: str) -> None:
    (problem,) = problems_of(text)
    assert (problem.code, problem.severity) == ("unreachable-part", Severity.WARNING)
    assert marked(text, problem) == piece
    assert problem.message.startswith(f"{piece} adds nothing: it is true only where ")


def test_of_two_equal_alternatives_the_second_is_named() -> None:
    (problem,) = problems_of("customer.is_adult or customer.is_adult")
    assert problem.span.column == START.column + len("customer.is_adult or ")


@pytest.mark.parametrize(
    "text",
    [
        "happened(order.placed, within 24h) or happened(order.placed, within 1d)",  # a day may have 23 hours
        "happened(order.placed, within 52w) and not happened(order.placed, within 13w)",
        "happened(order.placed) and not happened(order.placed, where event.total > 3)",
        "happened(order.placed, within 30d) or happened(order.placed, within 1mo)",
        "not has(customer.plan) or customer.plan == 'free'",
        "customer.country == 'DE' or customer.country in ['CH', 'AT']",
        "count(order.placed) >= 0.5 or customer.is_adult",
        "customer.score >= 5 and customer.score <= 5",
        "customer.score > 7 or customer.score < 7",
        "customer.country == 'DE' or customer.country == 'AT'",
        "customer.status == 'active' and customer.country in ['AT', 'CH']",
        "count(order.placed) > 0",
        "customer.score > 3 and customer.score < 4",
    ],
)
def test_parts_that_depend_on_the_customer_do_not_warn(text: str) -> None:
    assert problems_of(text) == []


def test_a_warning_reads_as_the_manual_shows_it() -> None:
    """The example of the rule language's manual, caret and all."""
    line = "  - not customer.auto_renew"
    span = Span("birthday.yaml", 8, 5)
    _, (problem,) = compile_clause("not customer.auto_renew", span=span, scope=SCOPE)
    shown = type(problem)(
        span=problem.span,
        message=problem.message,
        code=problem.code,
        severity=problem.severity,
        suggestion=problem.suggestion,
        source_line=line,
    )
    assert shown.render().splitlines() == [
        "birthday.yaml:8:9: warning: customer.auto_renew may be missing; a missing value never matches, not even here",
        "    8 |   - not customer.auto_renew",
        "      |         ^^^^^^^^^^^^^^^^^^^ write (customer.auto_renew ?? <default>) or has(customer.auto_renew)",
    ]


def test_the_parser_is_loaded_only_when_a_condition_is_read() -> None:
    """Importing the package must not import lark: the command line starts faster without it."""
    code = "import outbound.engine.conditions, sys; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
