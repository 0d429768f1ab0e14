"""The results of an experiment: groups, messages, goal and interval, from rows as planning writes them."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from planning_kit import POLICY, add_customer, add_event, publish, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services.experiments import HELD_OUT, Group, overview, report, wilson
from outbound.services.releases import Active
from outbound.storage import decisions, experiments, tables
from outbound.storage.database import Database
from outbound.storage.decisions import Verdict

AT = utc("2026-11-25 16:00")
NOW = utc("2026-12-05 12:00")
ID = "winback-2026-q4"

WINBACK = f"""
rule: winback
owner: crm@shop.example
topic: newsletter
when: {{schedule: FREQ=WEEKLY;BYDAY=WE, at: "17:00", tz: customer}}
once: "{{experiment.id}}"
experiment:
  id: {ID}
  unit: customer.id
  coverage: 20%
  holdout: 10%
  variants:
    plain:    {{weight: 50, template: plain}}
    discount: {{weight: 50, template: plain}}
  goal: happened(order.placed, within 14d)
  stop: 2026-12-31
send: {{channels: [email]}}
"""
NEWS = """
rule: news
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00", tz: customer}
send: {template: plain, channels: [email]}
"""
HOLDOUT = "holdout: {share: 5%, id: global-2026}\n"


def go_live(database: Database, *rules: str) -> Active:
    files = {**rule_files(*rules), "rules/policy.yaml": (POLICY + HOLDOUT).encode()}
    return publish(database, files, utc("2026-11-20 00:00"))


def decided(who: str, variant: str = "", verdict: str = "send", reason: str = "", detail: str = "") -> Verdict:
    experiment = "" if detail == "global-2026" else ID
    return Verdict(ID, who, verdict, reason, detail, "email", experiment, variant)


def held(who: str) -> Verdict:
    return decided(who, verdict="skip", reason="held_out", detail=ID)


def store(database: Database, active: Active, verdicts: list[Verdict], *, at: Any = AT, rule: str = "winback") -> None:
    """Decisions as planning keeps them, with the frozen experiment."""
    experiment = active.ruleset.rules["winback"].experiment
    assert experiment is not None
    with database.write() as connection:
        version = active.ruleset.rules[rule].version
        of_rule = decisions.Decided(rule=rule, rule_version=version, release=active.id, run_id="r1", verdicts=verdicts)
        decisions.insert(connection, [of_rule], now=at)
        experiments.expose(connection, experiment, rule="winback", release=active.id, now=at)


def message(database: Database, who: str, variant: str, state: str, reason: str = "") -> None:
    row = {
        "id": f"m-{who}",
        "run_id": "r1",
        "rule": "winback",
        "rule_version": "v",
        "release": "r",
        "once": ID,
        "customer_id": who,
        "step": "",
        "template": "plain",
        "variant": variant,
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email",
        "context": {},
        "not_before": AT,
        "expires": AT + timedelta(days=3),
        "on_uncertain": "hold",
        "state": state,
        "reason": reason,
        "created_at": AT,
        "updated_at": AT,
    }
    with database.write() as connection:
        columns = {
            c.name: c.default.arg for c in tables.message.columns if c.default is not None and c.default.is_scalar
        }
        connection.execute(tables.message.insert(), {**columns, **row})


def groups_of(database: Database, *, now: Any = NOW) -> dict[str, Group]:
    return {group.name: group for group in report(database, ID, now=now).groups}


def test_groups_messages_and_goal_including_the_held_out(database: Database) -> None:
    """Each group counts its people, what left, what did not and why, and who ordered after the exposure."""
    active = go_live(database, WINBACK)
    for who in ("p1", "p2", "p3", "d1", "d2", "h1", "h2", "no1"):
        add_customer(database, who)
    store(
        database,
        active,
        [
            decided("p1", "plain"),
            decided("p2", "plain", "hold", "quiet_hours"),
            decided("p3", "plain", "skip", "render", "customer.plan missing"),
            decided("d1", "discount"),
            decided("d2", "discount"),
            held("h1"),
            held("h2"),
            decided("no1", "plain", "skip", "consent", "newsletter"),  # stopped before the gate: in no group
        ],
    )
    message(database, "p1", "plain", "sent")
    message(database, "p2", "plain", "scheduled", "quiet_hours")
    message(database, "d1", "discount", "sent")
    message(database, "d2", "discount", "failed", "provider")
    later, earlier = AT + timedelta(days=3), AT - timedelta(days=3)
    orders = {"p1": later, "p2": earlier, "d1": later, "d2": later, "h1": later, "no1": later}
    for who, at in orders.items():
        add_event(database, f"e-{who}", "order.placed", who, {"order_id": who, "total": 5}, at)
    add_event(database, "e-h2", "order.placed", "h2", {"order_id": "late", "total": 5}, AT + timedelta(days=20))
    found = groups_of(database)
    assert list(found) == ["plain", "discount", HELD_OUT]
    plain, discount, silent = found.values()
    assert (plain.people, plain.sent, plain.waiting, plain.not_sent) == (3, 1, 1, {"render": 1})
    assert (discount.people, discount.sent, discount.waiting, discount.not_sent) == (2, 1, 0, {"provider": 1})
    assert (silent.people, silent.sent, silent.not_sent) == (2, 0, {"held_out": 2})
    assert [g.conversions for g in found.values()] == [1, 2, 1]
    assert [g.open for g in found.values()] == [2, 0, 1]
    assert plain.rate == pytest.approx(1 / 3)
    assert (plain.low, plain.high) == wilson(1, 3)
    after = groups_of(database, now=AT + timedelta(days=30))
    assert [(g.conversions, g.open) for g in after.values()] == [(1, 0), (2, 0), (1, 0)]


def test_a_person_with_several_decisions_counts_once_from_the_first(database: Database) -> None:
    active = go_live(database, WINBACK)
    add_customer(database, "p1")
    store(database, active, [Verdict("w2", "p1", "send", experiment=ID, variant="plain")], at=AT + timedelta(days=7))
    store(database, active, [Verdict("w1", "p1", "send", experiment=ID, variant="plain")], at=AT)
    add_event(database, "e", "order.placed", "p1", {"order_id": "o", "total": 5}, AT + timedelta(days=1))
    plain = groups_of(database)["plain"]
    assert (plain.people, plain.conversions) == (1, 1)


def test_an_experiment_that_no_longer_runs_keeps_its_results(database: Database) -> None:
    """Its goal is read from the release that made the last decision."""
    active = go_live(database, WINBACK)
    add_customer(database, "p1")
    store(database, active, [decided("p1", "plain")])
    add_event(database, "e", "order.placed", "p1", {"order_id": "o", "total": 5}, AT + timedelta(days=1))
    go_live(database, NEWS)
    found = report(database, ID, now=NOW)
    assert not found.summary.running
    assert found.summary.goal == ("happened(order.placed, within 14d)",)
    assert found.groups[0].conversions == 1
    assert [s.id for s in overview(database)] == [ID, "global-2026"]


def test_before_the_first_exposure_there_is_a_definition_and_nobody(database: Database) -> None:
    go_live(database, WINBACK)
    found = report(database, ID, now=NOW)
    assert found.summary.frozen_since is None
    assert found.summary.variants == (("plain", 50), ("discount", 50))
    assert {(g.people, g.conversions, g.rate) for g in found.groups} == {(0, 0, None)}
    with pytest.raises(OutboundError, match="no experiment 'other'"):
        report(database, "other", now=NOW)


def test_the_policys_holdout_says_how_many_people_it_keeps_silent(database: Database) -> None:
    active = go_live(database, WINBACK, NEWS)
    silent = [decided(who, "", "skip", "held_out", "global-2026") for who in ("a", "b")]
    store(database, active, silent)
    store(database, active, silent[:1], rule="news")
    found = report(database, "global-2026", now=NOW)
    assert (found.summary.kind, found.summary.holdout) == ("global", 500)
    [group] = found.groups
    assert (group.people, group.not_sent) == (2, {"held_out": 3})
    assert groups_of(database)[HELD_OUT].people == 0  # they are in no group of the experiment


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        (0, 0, (0.0, 1.0)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (5, 10, (0.2366, 0.7634)),
        (81, 263, (0.2553, 0.3662)),  # Newcombe 1998, table I
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, expected: tuple[float, float]) -> None:
    assert wilson(successes, trials) == pytest.approx(expected, abs=5e-5)


def test_reading_the_results_takes_no_more_memory_for_more_people(database: Database) -> None:
    """Ten times the people must not need ten times the memory: pages are let go."""
    active = go_live(database, WINBACK)

    def batch(first: int, count: int) -> Iterator[Verdict]:
        return (decided(f"c{n}", ("plain", "discount")[n % 2]) for n in range(first, first + count))

    peaks = []
    for first, count in ((0, 2_000), (2_000, 18_000)):
        store(database, active, list(batch(first, count)))
        groups_of(database)  # what is loaded once is loaded
        tracemalloc.start()
        found = groups_of(database)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert found["plain"].people == 10_000
    assert peaks[1] < 2 * peaks[0], peaks


def test_a_report_is_plain_data(database: Database) -> None:
    """What --json prints."""
    go_live(database, WINBACK)
    assert asdict(report(database, ID, now=NOW))["summary"]["goal"] == ("happened(order.placed, within 14d)",)


def test_exposures_after_the_clock_that_asks_are_counted(database: Database) -> None:
    """A run on a made-up clock lies ahead of the real one: people exposed, none of them able to have converted."""
    active = go_live(database, WINBACK)
    store(database, active, [decided("p1", "plain"), held("p2")])
    store(database, active, [decided("p3", "plain")], at=AT - timedelta(days=2))
    assert report(database, ID, now=AT - timedelta(days=1)).ahead == 2
    assert report(database, ID, now=AT).ahead == 0
