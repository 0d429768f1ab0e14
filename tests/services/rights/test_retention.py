"""Nothing stays beyond its time, it is proven by query, and every run still adds up (C42)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from rights_world import NOW, World, everything

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.retention import Retention
from outbound.services import preferences, retention
from outbound.services.reports import Equation, costs_of, equation
from outbound.services.retention import PruneReport
from outbound.services.rights import erasing
from outbound.storage import ledger, personal, tables


def prune(world: World, days: int, *, dry_run: bool = False, keep: Retention | None = None) -> PruneReport:
    return retention.prune(world.database, keep or Retention(), now=NOW + timedelta(days=days), dry_run=dry_run)


def rows(report: PruneReport) -> dict[str, int]:
    return {one.kind: one.rows for one in report.classes if one.rows}


def sums(world: World) -> Equation:
    with world.database.read() as connection:
        return equation(connection, world.runs["receipt"])


def settle_waiting(world: World) -> None:
    with world.database.write() as connection:
        waiting = tables.message.c.state.in_(["ready", "scheduled"])
        connection.execute(sa.update(tables.message).where(waiting).values(state="skipped", reason="cap", detail="day"))
        connection.execute(sa.update(tables.leg).where(tables.leg.c.n == 1).values(cost=400))
        connection.execute(sa.update(tables.run).values(currency="EUR"))


def test_c42_each_class_goes_when_its_time_is_over_and_not_a_day_before(world: World) -> None:
    assert rows(prune(world, 0)) == {"webhooks": 2}  # told on the day the customers came, 90 days ago
    assert rows(prune(world, 89)) == {"inbox": 2}  # what came in on the day the customers did
    assert rows(prune(world, 90)) == {"contexts": 4}  # those that ended; two of each wait
    assert rows(prune(world, 305)) == {}
    assert rows(prune(world, 307)) == {"events": 2}
    assert rows(prune(world, 1824)) == {"audit": 2}


def test_c42_the_proof_is_a_query(world: World) -> None:
    report = prune(world, 2000)
    assert report.proven
    assert all(one.left == 0 for one in report.classes)
    assert rows(prune(world, 2000)) == {}


def test_c42_a_context_that_went_is_marked_so_that_no_export_invents_a_body(world: World) -> None:
    prune(world, 91)
    with world.database.read() as connection:
        found = personal.messages(connection, ["lisa"])
    assert {sent.message.state.value: sent.forgotten for sent in found} == {
        "sent": True,
        "failed": True,
        "ready": False,
        "scheduled": False,
    }


def test_c42_folded_messages_count_as_before(world: World) -> None:
    settle_waiting(world)
    with world.database.read() as connection:
        before, spent = sums(world), costs_of(connection, world.runs["receipt"]).total
    report = prune(world, 1827)
    assert rows(report)["messages"] == 8
    after = sums(world)
    with world.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.message)).scalar_one() == 0
        assert costs_of(connection, world.runs["receipt"]).total == spent
    assert after.holds
    assert after == before


def test_c42_folding_in_pieces_comes_to_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_waiting(world)
    before = sums(world)
    monkeypatch.setattr("outbound.storage.pruning.BATCH", 3)
    prune(world, 1827)
    assert sums(world) == before


def test_c42_decisions_of_the_living_stay_so_that_nothing_happens_twice(world: World) -> None:
    settle_waiting(world)
    keys = len(everything(world.database)["decision"])
    prune(world, 1827)
    assert len(everything(world.database)["decision"]) == keys


def test_c42_what_is_left_of_erased_people_is_folded_too(world: World) -> None:
    settle_waiting(world)
    erasing.erase(world.database, world.keyring, customer_id="lisa", by="clerk", now=NOW)
    before = sums(world)
    prune(world, 1827)
    after = sums(world)
    assert after.holds
    assert (after.decided_skips, after.planning_reasons) == (before.decided_skips, before.planning_reasons)
    assert not [row for row in everything(world.database)["decision"] if row["customer_id"] == ""]


def say(world: World, what: Callable[..., bool], at: datetime) -> None:
    what(
        world.database,
        customer_id="lisa",
        topic="newsletter",
        channel=ChannelName.EMAIL,
        evidence=Evidence(source="page"),
        now=at,
        at=at,
    )


def test_c42_c33_consent_stays_for_its_life_and_five_years_and_the_chain_still_verifies(world: World) -> None:
    """A yes of long ago that holds is kept; one that was taken back goes five years after that."""
    say(world, preferences.withdraw, NOW)
    assert "consents" not in rows(prune(world, 1826))
    assert rows(prune(world, 1827))["consents"] == 1
    with world.database.read() as connection:
        left = ledger.verify(connection, ["lisa"])
        states = connection.execute(
            sa.select(tables.consent_event.c.channel, tables.consent_event.c.state)
            .where(tables.consent_event.c.customer_id == "lisa")
            .order_by(tables.consent_event.c.n)
        ).all()
    assert [tuple(row) for row in states] == [("sms", "granted"), ("email", "withdrawn")]
    assert left.broken == ()
    say(world, preferences.grant, NOW + timedelta(days=1900))
    with world.database.read() as connection:
        assert ledger.verify(connection, ["lisa"]).broken == ()


def test_c33_what_is_taken_out_by_hand_breaks_the_chain(world: World) -> None:
    """Only the job may shorten a chain: without its anchor the rest does not begin where it should."""
    with world.database.write() as connection:
        first = sa.and_(tables.consent_event.c.customer_id == "lisa", tables.consent_event.c.n == 1)
        connection.execute(sa.delete(tables.consent_event).where(first))
    with world.database.read() as connection:
        (broken,) = ledger.verify(connection).broken
    assert (broken.customer_id, broken.n, broken.why) == ("lisa", 2, "missing")


def test_a_dry_run_counts_and_keeps(world: World) -> None:
    before = everything(world.database)
    counted = prune(world, 2000, dry_run=True)
    assert everything(world.database) == before
    assert counted.proven
    assert rows(counted) == rows(prune(world, 2000))


def test_zero_keeps_for_ever(world: World) -> None:
    keep = Retention(contexts=0, events=0, inbox=0, consents=0, messages=0, audit=0, webhooks=0)
    assert prune(world, 9_000, keep=keep).classes == ()


def test_once_a_day_in_the_fleet(world: World) -> None:
    later = NOW + timedelta(days=100)
    first = retention.prune_daily(world.database, Retention(), now=later)
    assert first is not None
    assert first.proven
    assert retention.prune_daily(world.database, Retention(), now=later + timedelta(hours=1)) is None
    assert retention.prune_daily(world.database, Retention(), now=later + timedelta(days=1)) is not None
