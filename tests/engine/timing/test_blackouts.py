"""Blackouts: half-open stretches of the policy's wall clock."""

from datetime import UTC, datetime

import pytest
from timing_policies import naive, policy

from outbound.domain.policy import Blackout
from outbound.engine.timing import blackout_at, resolve_wall, zone_named

ROME = zone_named("Europe/Rome")


def rome(*parts: int) -> datetime:
    return resolve_wall(naive(*parts), ROME)


def freeze(start: datetime, end: datetime, *classes: str, why: str = "freeze") -> Blackout:
    return Blackout(start=start, end=end, classes=frozenset(classes), why=why)


CHRISTMAS = freeze(naive(2026, 12, 24, 12), naive(2026, 12, 27), "marketing")
SALES = freeze(naive(2026, 12, 26, 18), naive(2026, 12, 28), "marketing", why="sales")
MOVE = freeze(naive(2026, 12, 28), naive(2026, 12, 28, 6), why="moving")


@pytest.mark.parametrize(
    ("now", "message_class", "until"),
    [
        ((2026, 12, 24, 11, 59, 59), "marketing", None),
        ((2026, 12, 24, 12), "marketing", (2026, 12, 28, 6)),  # three stretches that touch are one
        ((2026, 12, 24, 12), "service", None),
        ((2026, 12, 28, 5, 59, 59), "security", (2026, 12, 28, 6)),  # no classes: all of them
        ((2026, 12, 28, 6), "marketing", None),
    ],
)
def test_a_blackout_holds_its_classes_to_the_end_of_the_last_that_touches(
    now: tuple[int, ...], message_class: str, until: tuple[int, ...] | None
) -> None:
    found = blackout_at(rome(*now), policy=policy(blackouts=(MOVE, SALES, CHRISTMAS)), message_class=message_class)
    assert (found and found[1]) == (rome(*until) if until else None)


def test_the_reason_is_that_of_the_stretch_we_are_in() -> None:
    both = policy(blackouts=(SALES, CHRISTMAS))
    found = blackout_at(rome(2026, 12, 25, 9), policy=both, message_class="marketing")
    assert found is not None
    assert found[0].why == "freeze"


def test_a_blackout_is_measured_in_the_policys_zone() -> None:
    tokyo = policy(timezone="Asia/Tokyo", blackouts=(CHRISTMAS,))
    assert blackout_at(datetime(2026, 12, 24, 3, tzinfo=UTC), policy=tokyo, message_class="marketing") is not None
    assert blackout_at(datetime(2026, 12, 24, 2, 59, tzinfo=UTC), policy=tokyo, message_class="marketing") is None
