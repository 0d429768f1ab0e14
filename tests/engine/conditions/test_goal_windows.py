"""Goals look forward from the exposure: the same conditions, other windows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from condition_schema import SCOPE, must

from outbound.domain.customer import Event
from outbound.engine.goals import Goal

BERLIN = ZoneInfo("Europe/Berlin")
EXPOSED = datetime(2026, 3, 20, 11, 0, tzinfo=UTC)  # 12:00 in Berlin, nine days before the clock goes forward
WINDOW_END = datetime(2026, 4, 3, 10, 0, tzinfo=UTC)  # 12:00 in Berlin fourteen days later: 335 hours
MUCH_LATER = EXPOSED + timedelta(days=90)
ORDERED = "happened(order.placed, within 14d)"
SECOND = timedelta(seconds=1)


def order(at: datetime, total: float = 30, name: str = "order.placed") -> Event:
    return Event(id=str(at), name=name, customer_id="c", data={"total": total}, at=at, received_at=at)


def reached(text: str, *history: Event, now: datetime = MUCH_LATER, **customer: Any) -> bool:
    goal = Goal([must(text, SCOPE)])
    return goal.reached(customer, history, exposed_at=EXPOSED, now=now, zone=BERLIN)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (EXPOSED - timedelta(days=1), False),
        (EXPOSED, False),
        (EXPOSED + SECOND, True),
        (WINDOW_END, True),
        (WINDOW_END + SECOND, False),
    ],
)
def test_only_what_happened_after_the_exposure_and_inside_the_window_counts(at: datetime, *, expected: bool) -> None:
    """Days are the customer's: 14 of them are 335 hours across the change of the clock."""
    assert reached(ORDERED, order(at)) is expected


def test_what_lies_in_the_future_does_not_count_yet() -> None:
    later = EXPOSED + timedelta(days=2)
    assert not reached(ORDERED, order(later), now=later - SECOND)
    assert reached(ORDERED, order(later), now=later)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count(order.placed, within 14d) >= 2", True),
        ("count(order.placed, within 3d) >= 2", False),
        ("count(order.placed, within 3d) == 1 and count(order.placed) == 3", True),  # each its own window
        ("happened(order.placed, where event.total >= 50, within 14d)", False),
        ("happened(order.placed, where event.total >= 50, within 60d)", True),
        ("not happened(order.placed, within 24h)", True),
        ("not happened(order.placed, within 48h)", False),
        ("happened(order.shipped, within 14d)", False),
        ("segment.active_buyers", True),  # counts orders inside a segment
        ("customer.plan == 'pro'", True),  # as it is now
        ("customer.plan == 'pro' and happened(order.placed, within 24h)", False),
        ("(customer.score ?? 0) > 1 or happened(order.placed, within 14d)", True),
    ],
)
def test_every_kind_of_condition_can_be_a_goal(text: str, *, expected: bool) -> None:
    history = [
        order(EXPOSED - timedelta(days=3)),
        order(EXPOSED + timedelta(hours=30)),
        order(EXPOSED + timedelta(days=10)),
        order(EXPOSED + timedelta(days=40), total=60),
    ]
    assert reached(text, *history, plan="pro", status="active") is expected


def test_a_goal_knows_which_events_it_needs() -> None:
    goal = Goal([must("happened(order.placed) or count(order.shipped, within 3d) > 1", SCOPE)])
    assert goal.events == {"order.placed", "order.shipped"}


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        (ORDERED, WINDOW_END - SECOND, True),
        (ORDERED, WINDOW_END, False),
        (f"{ORDERED} or happened(order.placed, within 30d)", WINDOW_END, True),  # the longest window decides
        ("happened(order.placed)", MUCH_LATER, True),
        (f"{ORDERED} and customer.plan == 'pro'", MUCH_LATER, True),
        ("happened(order.placed, where event.total > 5, within 14d)", MUCH_LATER, False),
    ],
)
def test_a_goal_knows_when_nothing_can_change_any_more(text: str, now: datetime, *, expected: bool) -> None:
    assert Goal([must(text, SCOPE)]).open(EXPOSED, now=now, zone=BERLIN) is expected
