"""When a run exceeds its limits, what a person's approval changes, and what the gate ``limits`` answers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from ladder_people import LATE, NOON, POLICY, candidate, person

from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.limits import Counted
from outbound.domain.rule import Limits
from outbound.engine.ladder import Switches, decide
from outbound.engine.limits import exceeded, usual

EUR = 1_000_000
NEWS = Limits(recipients=60_000, cost=90 * EUR, currency="EUR", growth=0.3)
ALL_THREE = (
    "70,000 recipients > 60,000; EUR 91.00 > EUR 90.00; 70,000 recipients are 600.0% more than the usual 10,000 "
    "(limit 30%)"
)
EXPIRES = NOON + timedelta(hours=48)


def counted(messages: int, cost: int = 0) -> Counted:
    return Counted(messages=messages, cost=cost)


@pytest.mark.parametrize(
    ("what", "text", "whole", "past"),
    [
        (None, None, counted(60_000, 90 * EUR), None),
        ("recipients", "61,204 recipients > 60,000", counted(61_204), None),
        ("cost", "EUR 90.01 > EUR 90.00", counted(10, 90_010_000), None),
        (None, None, counted(1_300), 1_000.0),
        ("growth", "1,301 recipients are 30.1% more than the usual 1,000 (limit 30%)", counted(1_301), 1_000.0),
        (None, None, counted(1_301), None),
        ("recipients", ALL_THREE, counted(70_000, 91 * EUR), 10_000.0),
    ],
)
def test_a_limit_is_the_most_that_is_allowed_and_all_that_are_passed_are_named(
    what: str | None, text: str | None, whole: Counted, past: float | None
) -> None:
    found = exceeded(NEWS, whole, past=past)
    assert (found.what if found else None, found.text if found else None) == (what, text)


def test_what_a_person_approved_is_allowed_and_one_more_is_not() -> None:
    """An approval of 61,204 messages for EUR 95 allows exactly that, also where growth was the limit."""
    approved = counted(61_204, 95 * EUR)
    assert exceeded(NEWS, approved, past=1_000.0, approved=approved) is None
    more = exceeded(NEWS, counted(61_205, 95 * EUR), past=1_000.0, approved=approved)
    assert more is not None
    assert more.text.startswith("61,205 recipients > 61,204")


def test_growth_needs_four_runs_and_one_that_sent_something() -> None:
    """The median of the newest four; an odd one out among them changes little; empty runs compare with nothing."""
    assert usual([100, 100, 100]) is None
    assert usual([100, 110, 9_000, 90, 1]) == 105
    assert usual([0, 0, 0, 0]) is None


def ask(limited: str | None, *, now: object = NOON, run: str = "run-1") -> Decision:
    switches = Switches(limited={"run-1": limited} if limited else {})
    message = replace(candidate(), run_id=run)
    return decide(message, person(), policy=POLICY, now=now, switches=switches)  # type: ignore[arg-type]


def test_a_limited_run_waits_until_nearly_its_end_and_then_expires() -> None:
    """Nobody looks every five minutes at 60,000 messages that only a person can wake."""
    first = ask("cost")
    assert isinstance(first, Hold)
    assert (str(first.reason), first.until) == ("limits.cost", EXPIRES - timedelta(minutes=1))
    last = ask("cost", now=EXPIRES - timedelta(seconds=30))
    assert isinstance(last, Hold)
    assert last.until == EXPIRES


def test_other_runs_go_a_rejected_one_never_and_an_earlier_gate_speaks_first() -> None:
    assert isinstance(ask("cost", run="run-2"), Send)
    assert isinstance(ask(None), Send)
    rejected = ask("rejected")
    assert isinstance(rejected, Skip)
    assert str(rejected.reason) == "limits.rejected"
    asleep = ask("cost", now=LATE)
    assert isinstance(asleep, Hold)
    assert asleep.reason.code == "quiet_hours"
