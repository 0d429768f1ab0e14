"""Publishing what would move people of a running experiment is refused, at its place and with the way out."""

import threading

import pytest
from planning_kit import POLICY, publish, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.domain.release import Files
from outbound.domain.source import Problem
from outbound.services import releases
from outbound.storage import experiments
from outbound.storage.database import Database

NOW = utc("2026-11-25 16:00")
LATER = utc("2026-12-02 16:00")

WINBACK = """
rule: winback
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=WE, at: "17:00", tz: customer}
once: "{experiment.id}"
experiment:
  id: winback-2026-q4
  unit: customer.id
  coverage: 20%
  holdout: 10%
  variants:
    plain:    {weight: 50, template: plain}
    discount: {weight: 50, template: plain}
  goal: happened(order.placed, within 14d)
send: {channels: [email]}
"""
HOLDOUT = "holdout: {share: 5%, id: global-2026}\n"


def files(rule: str = WINBACK, holdout: str = HOLDOUT) -> Files:
    found = rule_files(rule)
    return {**found, "rules/policy.yaml": (POLICY + holdout).encode()}


def begin(database: Database, *, exposed: bool = True) -> None:
    """Publish the experiment, and expose the first people to it and to the global holdout."""
    active = publish(database, files(), NOW)
    ruleset = active.ruleset
    experiment, holdout = ruleset.rules["winback"].experiment, ruleset.policy.holdout
    assert experiment is not None
    assert holdout is not None
    if exposed:
        with database.write() as connection:
            experiments.expose(connection, experiment, rule="winback", release=active.id, now=NOW)
            experiments.expose(connection, holdout, release=active.id, now=NOW)


def refusals(database: Database, changed: Files) -> list[Problem]:
    answer = releases.publish(database, changed, by="mia", now=LATER)
    return [] if isinstance(answer, releases.Published) else [p for p in answer if p.severity == "error"]


CHANGES = [
    ("holdout: 10%", "holdout: 5%", "its holdout cannot change from 10% to 5%"),
    ("plain:    {weight: 50", "plain:    {weight: 60", "its variants cannot change from {plain 50, discount 50} to"),
    ("    discount: {", "    rebate: {", "its variants cannot change"),
    ("    discount: {", "    third: {weight: 1, template: plain}\n    discount: {", "its variants cannot change"),
    ("coverage: 20%", "coverage: 19%", "its coverage may only grow, and reached 20%"),
    ("rule: winback", "rule: winback-two", "by rule winback"),
]


@pytest.mark.parametrize(("before", "after", "said"), CHANGES)
def test_what_would_move_people_is_refused_after_the_first_exposure(
    database: Database, before: str, after: str, said: str
) -> None:
    """Each at the line of the key, with a remedy; before the first exposure all of it is free."""
    changed = files(WINBACK.replace(before, after, 1))
    begin(database)
    running = releases.active(database)
    [problem] = refusals(database, changed)
    assert said in problem.message
    assert problem.code == "experiment.frozen"
    assert "new id" in problem.suggestion
    assert (problem.span.file, problem.source_line) == ("rules/rules.yaml", "experiment:")
    assert changed["rules/rules.yaml"].decode().splitlines()[problem.span.line - 1] == "experiment:"
    assert releases.active(database) is running


@pytest.mark.parametrize(("before", "after", "_said"), CHANGES)
def test_before_the_first_exposure_everything_may_change(
    database: Database, before: str, after: str, _said: str
) -> None:
    begin(database, exposed=False)
    assert not refusals(database, files(WINBACK.replace(before, after, 1)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("coverage: 20%", "coverage: 50%"),
        ("within 14d", "within 7d"),
        ('at: "17:00"', 'at: "18:00"'),
        ("id: winback-2026-q4", "id: winback-2027-q1"),
        ("send: {channels", "draft: true\nsend: {channels"),
    ],
)
def test_what_moves_nobody_is_published(database: Database, before: str, after: str) -> None:
    begin(database)
    assert not refusals(database, files(WINBACK.replace(before, after, 1)))


def test_another_order_of_the_variants_is_another_split(database: Database) -> None:
    begin(database)
    one, two = WINBACK.splitlines()[12:14]
    [problem] = refusals(database, files(WINBACK.replace(f"{one}\n{two}", f"{two}\n{one}")))
    assert "{plain 50, discount 50} to {discount 50, plain 50}" in problem.message


def test_the_place_is_that_of_the_right_document(database: Database) -> None:
    """Two rules with an experiment stand in one file."""
    begin(database)
    other = WINBACK.replace("rule: winback", "rule: other").replace("winback-2026-q4", "other-2026")
    changed = files(other + "\n---\n" + WINBACK.replace("holdout: 10%", "holdout: 1%"))
    [problem] = refusals(database, changed)
    lines = changed["rules/rules.yaml"].decode().splitlines()
    assert lines[problem.span.line - 1 : problem.span.line + 1] == ["experiment:", "  id: winback-2026-q4"]


def test_the_global_holdout_never_shrinks_within_its_id(database: Database) -> None:
    """Lowering is refused after first use, raising is not; under a new id everything is free (rules.md, Policy)."""
    begin(database)
    [problem] = refusals(database, files(holdout=HOLDOUT.replace("5%", "4%")))
    assert "its share may only grow, and reached 5%" in problem.message
    assert problem.render().splitlines()[1].endswith(HOLDOUT.replace("5%", "4%").strip())
    assert "5% or more, or give the holdout a new id" in problem.suggestion
    assert not refusals(database, files(holdout=HOLDOUT.replace("5%", "8%")))
    assert not refusals(database, files())  # nobody was held out by the 8 % yet
    assert not refusals(database, files(holdout=HOLDOUT.replace("5%", "4%").replace("2026", "2027")))


def test_an_id_cannot_go_from_an_experiment_to_the_holdout_or_back(database: Database) -> None:
    begin(database)
    [problem] = refusals(database, files(WINBACK.replace("winback-2026-q4", "global-2026"), holdout=""))
    assert problem.message == "global-2026 was the id of the policy's holdout"
    taken = HOLDOUT.replace("global-2026", "winback-2026-q4")
    [problem] = refusals(database, files(WINBACK.replace("winback-2026-q4", "new"), holdout=taken))
    assert problem.message == "winback-2026-q4 was the id of the experiment of rule winback"


def test_who_plans_by_an_older_release_exposes_nobody_for_the_first_time(database: Database) -> None:
    """A release that was published meanwhile may have other groups: planning must begin again with it."""
    old = publish(database, files(), NOW)
    experiment = old.ruleset.rules["winback"].experiment
    assert experiment is not None
    publish(database, files(WINBACK.replace("holdout: 10%", "holdout: 20%")), LATER)
    with pytest.raises(OutboundError, match="published anew"), database.write() as connection:
        experiments.expose(connection, experiment, rule="winback", release=old.id, now=LATER)
    with database.read() as connection:
        assert experiments.load(connection) == {}


def test_a_first_exposure_and_a_publication_wait_for_each_other(database: Database) -> None:
    """Of a first exposure that is not committed yet the publication would know nothing, and let the groups change."""
    active = publish(database, files(), NOW)
    experiment = active.ruleset.rules["winback"].experiment
    assert experiment is not None
    answers: list[list[Problem]] = []
    changed = files(WINBACK.replace("holdout: 10%", "holdout: 20%"))
    publication = threading.Thread(target=lambda: answers.append(refusals(database, changed)))
    with database.write() as connection:
        experiments.expose(connection, experiment, rule="winback", release=active.id, now=NOW)
        publication.start()
        publication.join(0.5)
        assert publication.is_alive()
    publication.join(30)
    [[problem]] = answers
    assert "its holdout cannot change" in problem.message
