"""People in experiments, from hashing to rows: the uncovered in the manifest, the others with their variant."""

import pytest
import sqlalchemy as sa

from outbound.storage import customers, runs, tables
from outbound.storage.customers import Update
from outbound.storage.database import Database
from tests.services.planning.planning_kit import (
    add_customer,
    add_event,
    balance,
    messages,
    plan,
    publish,
    rows,
    rule_files,
    utc,
)

_TRIAL = """
rule: trial
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=TU, at: "15:00", tz: Europe/Rome}
experiment:
  id: trial-1
  unit: customer.id
  coverage: 50%
  holdout: 20%
  variants: {one: {weight: 1, template: plain}, two: {weight: 1, template: plain}}
send: {channels: [email]}
"""


def test_the_uncovered_are_misses_and_the_others_decisions_with_their_group(database: Database) -> None:
    """Nobody is lost: uncovered (manifest), held out (decision alone) and exposed (message with the variant)."""
    active = publish(database, rule_files(_TRIAL), utc("2026-10-01 00:00"))
    for number in range(60):
        add_customer(database, f"c{number}")
    plan(database, active, utc("2026-11-03 13:50"))
    decisions = rows(database, tables.decision)
    with database.read() as connection:
        run_id = connection.execute(sa.select(tables.run.c.id)).scalar_one()
        missed = runs.misses(connection, run_id)
    held = {row.customer_id for row in decisions if row.verdict == "skip"}
    exposed = {row.customer_id: row.variant for row in decisions if row.verdict == "send"}
    assert missed
    assert set(missed.values()) == {runs.NOT_COVERED}
    assert {row.reason + row.detail for row in decisions if row.verdict == "skip"} == {"held_outtrial-1"}
    assert {row.experiment for row in decisions} == {"trial-1"}
    assert set(exposed.values()) == {"one", "two"}
    assert {one: row.variant for one, row in messages(database).items()} == exposed
    assert len(missed) + len(held) + len(exposed) == 60
    assert list(balance(database)) == [(len(held) + len(exposed), len(held), len(exposed))]
    assert [row.id for row in rows(database, tables.experiment)] == ["trial-1"]


_WHEN = {
    "event": "{event: order.placed}",
    "changed": "{changed: customer.plan}",
    "enters": "{enters: buyers}",
    "current": "{changed: customer.plan, to: free}",
}


@pytest.mark.parametrize("trigger", _WHEN)
def test_the_uncovered_of_what_happens_are_misses_too(database: Database, trigger: str) -> None:
    """Events, changes, entries and those whom a new rule finds there: each is a decision or in the manifest."""
    rule = _TRIAL.replace('{schedule: FREQ=WEEKLY;BYDAY=TU, at: "15:00", tz: Europe/Rome}', _WHEN[trigger])
    rule = rule.replace("send: ", "expires: 48h\nsend: ")
    segments = b"segment: buyers\nif:\n  - customer.plan == 'pro'\n"
    before, noon, soon = utc("2026-03-02 10:00"), utc("2026-03-02 12:00"), utc("2026-03-02 12:05")
    for number in range(40):
        add_customer(database, f"c{number}", attributes={"plan": "free"})
    active = publish(
        database, {**rule_files(rule), "rules/segments.yaml": segments}, before, include_current=trigger == "current"
    )
    plan(database, active, noon)
    for number in range(40):
        if trigger == "event":
            add_event(database, f"e{number}", "order.placed", f"c{number}", {"order_id": str(number), "total": 1}, soon)
        elif trigger != "current":
            with database.write() as connection:
                update = Update(customer_id=f"c{number}", attributes={"plan": "pro"})
                customers.apply(connection, update, source="test", now=noon)
    plan(database, active, soon)
    decided = {row.customer_id for row in rows(database, tables.decision)}
    with database.read() as connection:
        run_id = connection.execute(sa.select(tables.run.c.id)).scalar_one()
        missed = runs.misses(connection, run_id)
    assert set(missed.values()) == {runs.NOT_COVERED}
    assert decided
    assert not decided & set(missed)
    assert len(decided) + len(missed) == 40
