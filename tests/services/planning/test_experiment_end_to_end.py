"""From a rule file to decisions and messages: who gets which variant is what the hashes say, and stays."""

from collections import Counter

import pytest
from planning_kit import POLICY, SCHEMA, add_customer, add_event, balance, plan, publish, rows, rule_files, utc

from outbound.domain.experiment import Assignment
from outbound.domain.release import Files
from outbound.engine.experiments import assign
from outbound.services import releases
from outbound.services.experiments import report
from outbound.services.releases import Active
from outbound.storage import experiments, tables
from outbound.storage.database import Database

PUBLISHED = utc("2026-11-20 00:00")
DUE = utc("2026-11-25 16:00")  # a Wednesday, 17:00 in Rome
NEXT = utc("2026-12-02 16:00")
ID = "winback-2026-q4"
PEOPLE = [f"c{n}" for n in range(200)]

WINBACK = f"""
rule: winback
owner: crm@shop.example
topic: newsletter
when: {{schedule: FREQ=WEEKLY;BYDAY=WE, at: "17:00", tz: customer}}
once: "{{experiment.id}}"
experiment:
  id: {ID}
  unit: customer.id
  coverage: 40%
  holdout: 20%
  variants:
    short: {{weight: 50, template: plain}}
    long:  {{weight: 50, template: hello}}
  goal: happened(order.placed, within 14d)
send: {{channels: [email]}}
"""
TOUR = """
rule: tour
owner: crm@shop.example
topic: newsletter
when: {event: order.placed}
once: "{event.order_id}"
send: {template: plain, channels: [email]}
"""
ORDER = TOUR.replace("tour", "receipt").replace("newsletter", "orders")
HOLDOUT = "holdout: {share: 20%, id: global-2026}\n"


def files(*rules: str, holdout: str = "") -> Files:
    found = rule_files(*rules)
    hello = {
        name.replace("templates/plain/", "templates/hello/"): content
        for name, content in found.items()
        if name.startswith("templates/plain/")
    }
    return {**found, **hello, "rules/policy.yaml": (POLICY + holdout).encode()}


def expected(active: Active, who: str) -> Assignment:
    holdout = active.ruleset.policy.holdout
    experiment = active.ruleset.rules["winback"].experiment
    found = assign(experiment, holdout, unit=who, customer_id=who, day=DUE.date())
    assert found is not None
    return found


@pytest.mark.parametrize("holdout", ["", HOLDOUT])
def test_everybody_gets_what_their_hash_says(database: Database, holdout: str) -> None:
    """Variant and template on the message, the group on the decision, and nobody outside the coverage has either."""
    for who in PEOPLE:
        add_customer(database, who)
    add_customer(database, "no", consent=False)
    active = publish(database, files(WINBACK, holdout=holdout), PUBLISHED)
    plan(database, active, DUE)
    decided = {row.customer_id: row for row in rows(database, tables.decision)}
    written = {row.customer_id: row for row in rows(database, tables.message)}
    groups: Counter[str] = Counter()
    for who in PEOPLE:
        part = expected(active, who)
        row = decided.get(who)
        if not part.covered:
            assert row is None
            assert who not in written
            continue
        assert row is not None
        assert (row.experiment, row.variant) == (part.experiment, part.variant)
        groups[part.held_out_by or part.variant] += 1
        if part.held_out_by:
            assert (row.verdict, row.reason, row.detail) == ("skip", "held_out", part.held_out_by)
            assert who not in written
        else:
            template = {"short": "plain", "long": "hello"}[part.variant]
            assert (written[who].variant, written[who].template) == (part.variant, template)
    assert set(groups) == {"short", "long", ID, *(["global-2026"] if holdout else [])}
    balance(database)
    with database.read() as connection:
        frozen = experiments.load(connection)
    assert set(frozen) == {ID, *(["global-2026"] if holdout else [])}
    assert frozen[ID].exposed_at == DUE
    shown = {group.name: group.people for group in report(database, ID, now=DUE).groups}
    assert shown == {"short": groups["short"], "long": groups["long"], "held out": groups[ID]}


def test_planning_again_changes_nothing_and_growing_reaches_only_new_people(database: Database) -> None:
    for who in PEOPLE:
        add_customer(database, who)
    active = publish(database, files(WINBACK), PUBLISHED)
    plan(database, active, DUE)
    before = {row.customer_id: (row.variant, row.verdict) for row in rows(database, tables.decision)}
    plan(database, active, DUE)
    assert {r.customer_id: (r.variant, r.verdict) for r in rows(database, tables.decision)} == before
    grown = publish(database, files(WINBACK.replace("40%", "90%")), utc("2026-11-26 00:00"))
    plan(database, grown, NEXT)
    after = {row.customer_id: (row.variant, row.verdict) for row in rows(database, tables.decision)}
    assert {who: after[who] for who in before} == before
    assert len(after) > 1.7 * len(before)
    assert set(after) == {who for who in PEOPLE if expected(grown, who).covered}
    with database.read() as connection:
        assert experiments.load(connection)[ID].definition["coverage"] == 9_000
    smaller = releases.publish(database, files(WINBACK.replace("40%", "80%")), by="mia", now=NEXT)
    assert not isinstance(smaller, releases.Published)


def test_people_of_one_household_share_a_group_and_a_held_message_keeps_it(database: Database) -> None:
    """The unit is an attribute; planned into the night, when the message waits with its variant and template."""
    schema = SCHEMA.replace("  plan:  ", "  household:    {type: string, required: true}\n  plan:  ")
    for number in range(60):
        add_customer(database, f"c{number}", attributes={"household": f"h{number // 2}"})
    night = (
        WINBACK.replace("17:00", "22:00").replace("unit: customer.id", "unit: customer.household").replace("40%", "90%")
    )
    set_of_files = {**files(night), "rules/schema.yaml": schema.encode()}
    plan(database, publish(database, set_of_files, PUBLISHED), utc("2026-11-25 21:00"))
    groups = {row.customer_id: (row.experiment, row.variant) for row in rows(database, tables.decision)}
    assert {variant for _, variant in groups.values()} == {"short", "long", ""}
    for number in range(0, 60, 2):
        assert groups.get(f"c{number}") == groups.get(f"c{number + 1}")
    for row in rows(database, tables.message):
        assert (row.state, row.reason, row.variant) == ("scheduled", "quiet_hours", groups[row.customer_id][1])


def test_after_stop_nobody_is_exposed(database: Database) -> None:
    add_customer(database, "c0")
    stopped = WINBACK.replace("40%", "100%").replace("  goal:", "  stop: 2026-11-24\n  goal:")
    active = publish(database, files(stopped), PUBLISHED)
    plan(database, active, DUE)
    assert not rows(database, tables.decision)
    assert not rows(database, tables.experiment)


def test_the_global_holdout_is_for_marketing_and_holds_for_events_too(database: Database) -> None:
    for who in PEOPLE[:60]:
        add_customer(database, who)
    active = publish(database, files(WINBACK, TOUR, ORDER, holdout=HOLDOUT), PUBLISHED)
    for who in PEOPLE[:60]:
        add_event(database, f"e-{who}", "order.placed", who, {"order_id": f"o-{who}", "total": 5}, DUE)
    plan(database, active, DUE)
    silent = {row.customer_id for row in rows(database, tables.decision) if row.detail == "global-2026"}
    held = {
        who
        for who in PEOPLE[:60]
        if (part := assign(None, active.ruleset.policy.holdout, unit="", customer_id=who, day=DUE.date()))
        and part.held_out_by
    }
    assert held
    assert silent == held
    receipts = {row.customer_id for row in rows(database, tables.message) if row.rule == "receipt"}
    assert receipts == set(PEOPLE[:60])
    tours = {row.customer_id for row in rows(database, tables.message) if row.rule == "tour"}
    assert tours == set(PEOPLE[:60]) - held
    with database.read() as connection:
        assert "global-2026" in experiments.load(connection)
