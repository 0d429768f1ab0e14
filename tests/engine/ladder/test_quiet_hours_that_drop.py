"""``quiet_hours.action: drop``: a message that falls into the night ends there."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from ladder_people import EMAIL, LATE, NOON, NOTHING_PAUSED, OFFERS, ORDERS, POLICY, SMS, candidate, person

from outbound.domain.customer import OwnQuietHours, Preference
from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.policy import Blackout, CalendarPeriod, Cap, CapUse, Policy, Topic
from outbound.domain.traffic import QUIET, Contact, Traffic
from outbound.engine.ladder import Candidate, decide, ladder_steps

DROPPING = replace(POLICY, quiet_drop=True)
OBEYING = replace(OFFERS, message_class=replace(OFFERS.message_class, caps=CapUse.APPLY))
DAILY = Cap(name="marketing.day", max=1, per=CalendarPeriod.DAY, message_class="marketing")
TODAY = Traffic(
    contacts=(Contact(message_class="marketing", topic="offers", channel=EMAIL, at=NOON - timedelta(hours=1)),)
)
MORNING = datetime(2026, 6, 4, 6, tzinfo=UTC)


def ask(what: Candidate, now: datetime, policy: Policy = DROPPING, *, traffic: Traffic = QUIET) -> Decision:
    return decide(what, person(), policy=policy, now=now, switches=NOTHING_PAUSED, traffic=traffic)


def test_a_message_whose_every_channel_keeps_quiet_is_skipped_with_the_reason_of_the_gate() -> None:
    decision = ask(candidate(OFFERS, due=LATE), LATE)
    assert isinstance(decision, Skip)
    assert str(decision.reason) == "quiet_hours"
    assert isinstance(ask(candidate(OFFERS, due=LATE), LATE, POLICY), Hold)  # `hold` is the other action


def test_a_channel_that_rings_at_night_still_takes_the_message() -> None:
    assert ask(candidate(ORDERS, due=LATE), LATE) == Send(channel=EMAIL, channels=(EMAIL,))
    assert isinstance(ask(candidate(ORDERS, channels=(SMS,), due=LATE), LATE), Skip)


def test_the_customers_own_hours_drop_as_well_and_say_so() -> None:
    siesta = person(preference=Preference(quiet_hours=OwnQuietHours(start=time(11), end=time(15))))
    decision = decide(candidate(OFFERS), siesta, policy=DROPPING, now=NOON, switches=NOTHING_PAUSED)
    assert isinstance(decision, Skip)
    assert str(decision.reason) == "quiet_hours.own"


def test_by_day_nothing_changes() -> None:
    assert ask(candidate(OFFERS), NOON) == ask(candidate(OFFERS), NOON, POLICY)


@pytest.mark.parametrize(
    ("policy", "topic"),
    [
        (replace(DROPPING, caps=(DAILY,), classes={"marketing": OBEYING.message_class}), OBEYING),
        (
            replace(
                DROPPING,
                blackouts=(
                    Blackout(
                        start=datetime(2026, 6, 3),  # noqa: DTZ001 -- wall clock of the policy's zone
                        end=datetime(2026, 6, 4),  # noqa: DTZ001
                        classes=frozenset(),
                        why="freeze",
                    ),
                ),
            ),
            OFFERS,
        ),
    ],
    ids=["cap", "blackout"],
)
def test_what_opens_at_midnight_is_waited_for_until_morning_not_only_to_be_dropped(
    policy: Policy, topic: Topic
) -> None:
    what = candidate(topic)
    decision = ask(what, NOON, policy, traffic=TODAY)
    assert isinstance(decision, Hold)
    assert decision.until == MORNING
    assert isinstance(ask(what, MORNING, policy, traffic=TODAY), Send)
    holding = ask(what, NOON, replace(policy, quiet_drop=False), traffic=TODAY)
    assert isinstance(holding, Hold)
    assert holding == decision, "what is told to wait for stays the reason"


def test_the_explanation_ends_with_the_same_decision() -> None:
    what = candidate(OFFERS, due=LATE)
    steps = ladder_steps(what, person(), policy=DROPPING, now=LATE, switches=NOTHING_PAUSED)
    assert steps[-1].gate == "quiet_hours"
    assert steps[-1].verdict == ask(what, LATE)
