"""What is kept of an experiment at its first exposure, and who may change it afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outbound.domain.errors import OutboundError
from outbound.domain.experiment import Experiment, GlobalHoldout, Variant
from outbound.storage import experiments
from outbound.storage.database import Database

NOW = datetime(2026, 11, 25, 16, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
PLAIN, DISCOUNT = Variant(name="plain", weight=50, template="a"), Variant(name="discount", weight=50, template="b")
WINBACK = Experiment(
    id="winback-2026-q4",
    unit="id",
    coverage=2_000,
    holdout=1_000,
    variants={"plain": PLAIN, "discount": DISCOUNT},
)
GLOBAL = GlobalHoldout(id="global-2026", share=500)


def expose(
    database: Database, what: Experiment | GlobalHoldout, *, rule: str = "winback", now: datetime = NOW
) -> experiments.Frozen:
    with database.write() as connection:
        experiments.expose(
            connection, what, rule="" if isinstance(what, GlobalHoldout) else rule, release="r1", now=now
        )
    with database.read() as connection:
        return experiments.load(connection, [what.id])[what.id]


def test_the_first_exposure_is_kept_and_the_next_ones_change_nothing(database: Database) -> None:
    first = expose(database, WINBACK)
    assert first.exposed_at == NOW
    assert (first.kind, first.rule) == ("rule", "winback")
    assert first.definition == {
        "unit": "id",
        "holdout": 1_000,
        "variants": [["plain", 50], ["discount", 50]],
        "coverage": 2_000,
    }
    assert expose(database, WINBACK, now=LATER) == first


def test_a_new_template_is_the_same_experiment(database: Database) -> None:
    first = expose(database, WINBACK)
    variants = {"plain": replace(PLAIN, template="other"), "discount": DISCOUNT}
    assert expose(database, replace(WINBACK, variants=variants), now=LATER) == first


def test_the_highest_coverage_and_share_are_remembered(database: Database) -> None:
    """Coverage that falls back for a moment (an older release still planning) moves nobody and lowers no mark."""
    expose(database, WINBACK)
    assert expose(database, replace(WINBACK, coverage=5_000)).definition["coverage"] == 5_000
    assert expose(database, WINBACK).definition["coverage"] == 5_000
    expose(database, GLOBAL)
    assert expose(database, replace(GLOBAL, share=800)).definition == {"share": 800}
    assert expose(database, GLOBAL).definition == {"share": 800}


@pytest.mark.parametrize(
    "other",
    [
        replace(WINBACK, unit="household"),
        replace(WINBACK, holdout=2_000),
        replace(WINBACK, variants={"plain": PLAIN, "discount": replace(DISCOUNT, weight=60)}),
        replace(WINBACK, variants={"discount": DISCOUNT, "plain": PLAIN}),  # the order is the scale of the buckets
        replace(WINBACK, variants={"plain": PLAIN, "rebate": replace(DISCOUNT, name="rebate")}),
        GlobalHoldout(id=WINBACK.id, share=500),
    ],
)
def test_other_groups_under_the_same_id_are_refused(database: Database, other: Experiment | GlobalHoldout) -> None:
    """Decisions of another split must not be stored, whichever release they come from."""
    first = expose(database, WINBACK)
    with pytest.raises(OutboundError, match="not what it was at its first exposure"):
        expose(database, other)
    with pytest.raises(OutboundError):
        expose(database, WINBACK, rule="another")
    with database.read() as connection:
        assert experiments.load(connection) == {WINBACK.id: first}


def test_an_exposure_that_is_rolled_back_freezes_nothing(database: Database) -> None:
    """The row belongs to the transaction of the decisions."""
    with pytest.raises(RuntimeError), database.write() as connection:
        experiments.expose(connection, WINBACK, rule="winback", release="r1", now=NOW)
        raise RuntimeError
    with database.read() as connection:
        assert experiments.load(connection) == {}
