"""People in experiments, from hashing to rows: the uncovered in the manifest, the others with their variant."""

import sqlalchemy as sa

from outbound.storage import runs, tables
from outbound.storage.database import Database
from tests.services.planning.planning_kit import add_customer, balance, messages, plan, publish, rows, rule_files, utc

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
