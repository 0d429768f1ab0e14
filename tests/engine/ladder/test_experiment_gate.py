"""The gate ``experiment``: where it stands, and what it says."""

from dataclasses import replace
from datetime import date

import pytest
from ladder_people import LATE, NOON, NOTHING_PAUSED, POLICY, candidate, person

from outbound.domain.decision import Decision, Skip
from outbound.domain.experiment import Assignment, Experiment, GlobalHoldout, Variant
from outbound.domain.person import Person
from outbound.engine.experiments import explained
from outbound.engine.ladder import decide, ladder_steps

HELD_OUT = Assignment(held_out_by="winback-2026-q4", experiment="winback-2026-q4")
PLAIN = Assignment(experiment="winback-2026-q4", variant="plain")
WINBACK = Experiment(
    id="winback-2026-q4",
    unit="id",
    coverage=2_000,
    holdout=1_000,
    variants={name: Variant(name=name, weight=50) for name in ("plain", "discount")},
)


def ask(assignment: Assignment | None, who: Person | None = None, *, late: bool = False) -> Decision:
    now = LATE if late else NOON
    return decide(
        candidate(due=now), who or person(), policy=POLICY, now=now, switches=NOTHING_PAUSED, assignment=assignment
    )


def test_who_is_held_out_is_skipped_and_told_by_what() -> None:
    """Also at night: the group is settled before quiet hours could hold the message."""
    for late in (False, True):
        decision = ask(HELD_OUT, late=late)
        assert isinstance(decision, Skip)
        assert str(decision.reason) == "held_out.winback-2026-q4"
    decision = ask(Assignment(held_out_by="global-2026"))
    assert isinstance(decision, Skip)
    assert str(decision.reason) == "held_out.global-2026"


def test_a_variant_and_no_experiment_at_all_change_nothing() -> None:
    assert ask(PLAIN) == ask(Assignment()) == ask(None)
    assert ask(PLAIN, late=True) == ask(None, late=True)


def test_consent_and_reachability_come_first() -> None:
    """Assignment happens after them: somebody who could get nothing anyway is in no group (rules.md 1.9)."""
    unwilling = ask(HELD_OUT, person(consents={}))
    assert isinstance(unwilling, Skip)
    assert str(unwilling.reason) == "consent.offers"
    nowhere = ask(HELD_OUT, person(reach=()))
    assert isinstance(nowhere, Skip)
    assert nowhere.reason.code == "unreachable"


def test_outside_the_coverage_is_a_miss_of_who() -> None:
    decision = ask(Assignment(covered=False))
    assert isinstance(decision, Skip)
    assert str(decision.reason) == "who.coverage"


@pytest.mark.parametrize(
    ("experiment", "holdout", "expected"),
    [
        (WINBACK, None, "coverage 155 < 2000, holdout 9564 >= 1000, variant 2119 -> plain"),
        (
            replace(WINBACK, holdout=10_000),
            None,
            "coverage 155 < 2000, holdout 9564 < 10000; held_out.winback-2026-q4",
        ),
        (replace(WINBACK, coverage=100), None, "coverage 155 >= 100; who.coverage"),
        (None, GlobalHoldout(id="global-2026", share=10_000), "global-2026 7961 < 10000; held_out.global-2026"),
        (None, None, "no experiment"),
    ],
)
def test_the_explanation_has_the_numbers(
    experiment: Experiment | None, holdout: GlobalHoldout | None, expected: str
) -> None:
    """The line of rules.md section 3, for leo."""
    assignment = explained(experiment, holdout, unit="leo", customer_id="leo", day=date(2026, 6, 3))
    steps = ladder_steps(candidate(), person(), policy=POLICY, now=NOON, switches=NOTHING_PAUSED, assignment=assignment)
    (said,) = [step.text for step in steps if step.gate == "experiment"]
    assert said == expected
