"""Explanations: one line per part, with the values that decided."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from condition_schema import SCOPE, must

from outbound.domain.customer import Event
from outbound.engine.conditions import Facts, evaluate, explain, render

NOW = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)


def facts(**customer: Any) -> Facts:
    at = datetime(2026, 12, 1, 23, 30, tzinfo=UTC)  # 2 December in Berlin
    past = Event(id="1", name="order.placed", customer_id="c", data={"total": 5}, at=at, received_at=at)
    return Facts(customer=customer, history=[past], now=NOW, today=date(2027, 1, 15), zone=ZoneInfo("Europe/Berlin"))


def test_the_manuals_example() -> None:
    clause = must(
        "customer.country in ['DE','AT'] and (customer.plan ?? 'free') != 'free'"
        " and not happened(order.placed, within 13w) and days_until(customer.renewal_date) == 14"
    )
    assert render(explain(clause, facts(country="DE", renewal_date="2027-01-29"))) == (
        "NO  all of\n"
        "  yes customer.country in ['DE', 'AT']         -- customer.country is 'DE'\n"
        "  NO  (customer.plan ?? 'free') != 'free'      -- customer.plan is MISSING\n"
        "  NO  not\n"
        "    yes happened(order.placed, within 13w)     -- last 2026-12-02\n"
        "  yes days_until(customer.renewal_date) == 14  -- customer.renewal_date is '2027-01-29', in 14 days"
    )


@pytest.mark.parametrize(
    ("text", "customer", "line"),
    [
        ("customer.plan == 'pro'", {}, "?   customer.plan == 'pro'  -- customer.plan is MISSING"),
        ("has(customer.plan)", {"plan": "pro"}, "yes has(customer.plan)  -- customer.plan is 'pro'"),
        ("customer.is_adult", {"is_adult": False}, "NO  customer.is_adult  -- customer.is_adult is false"),
        (
            "customer.score > 3",
            {"score": "4"},
            "?   customer.score > 3  -- customer.score is '4', which is not a number: counts as MISSING",
        ),
        (
            "days_since(customer.renewal_date) == 1",
            {"renewal_date": "2027-01-14"},
            "yes days_since(customer.renewal_date) == 1  -- customer.renewal_date is '2027-01-14', 1 day ago",
        ),
        (
            "days_until(customer.renewal_date) < 0",
            {"renewal_date": "2027-01-15"},
            "NO  days_until(customer.renewal_date) < 0  -- customer.renewal_date is '2027-01-15', today",
        ),
        ("happened(order.shipped)", {}, "NO  happened(order.shipped)  -- never"),
        (
            "happened(order.placed, within 2w)",
            {},
            "NO  happened(order.placed, within 2w)  -- last 2026-12-02, before the window",
        ),
        (
            "happened(order.placed, where event.total > 9)",
            {},
            "NO  happened(order.placed, where event.total > 9)  -- last 2026-12-02, but where is not true",
        ),
        ("count(order.placed) >= 2", {}, "NO  count(order.placed) >= 2  -- order.placed once"),
        ("count(order.shipped) >= 2", {}, "NO  count(order.shipped) >= 2  -- order.shipped 0 times"),
        (
            "lower(customer.city) == customer.email",
            {"city": "Bonn"},
            "?   lower(customer.city) == customer.email  -- customer.city is 'Bonn', customer.email is MISSING",
        ),
    ],
)
def test_one_line_says_what_decided(text: str, customer: dict[str, Any], line: str) -> None:
    assert render(explain(must(text), facts(**customer))) == line


def test_a_segment_shows_its_parts() -> None:
    clause = must("customer.is_adult or segment.active_buyers", SCOPE)
    lines = [line.split("  -- ") for line in render(explain(clause, facts(status="active"))).splitlines()]
    assert [[part.rstrip() for part in line] for line in lines] == [
        ["?   any of"],
        ["  ?   customer.is_adult", "customer.is_adult is MISSING"],
        ["  NO  segment.active_buyers"],
        ["    NO  all of"],
        ["      yes customer.status == 'active'", "customer.status is 'active'"],
        ["      NO  count(order.placed, where event.total >= 20, within 52w) >= 2", "order.placed 0 times"],
    ]
    assert len({line.index("  -- ") for line in render(explain(clause, facts())).splitlines() if "--" in line}) == 1


def test_the_explanation_is_a_value_with_the_verdict_of_evaluation() -> None:
    clause = must("not (customer.plan == 'pro' or customer.is_adult)")
    found = explain(clause, facts(plan="free", is_adult=False))
    assert found.verdict is evaluate([clause])(facts(plan="free", is_adult=False)) is True
    assert [part.text for part in found.parts[0].parts] == ["customer.plan == 'pro'", "customer.is_adult"]
