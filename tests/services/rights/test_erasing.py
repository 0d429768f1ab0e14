"""Erasing a person (C39, F57): nothing of them is left, everything still adds up, the other person is untouched."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from rights_world import CANARIES, LISA, NOW, World, everything

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.services import customers, preferences
from outbound.services.reports import equation
from outbound.services.rights import erasing
from outbound.storage import customers as profiles
from outbound.storage import erasing as store
from outbound.storage import ledger, people, tables


def erase(world: World, **more: bool) -> erasing.Receipt:
    return erasing.erase(world.database, world.keyring, customer_id="lisa", by="clerk", now=NOW, **more)


def test_c39_every_table_is_erased_emptied_or_knows_nobody() -> None:
    assert sorted((*store.ERASED, *store.EMPTIED, *store.IMPERSONAL, *store.PASSING)) == sorted(tables.metadata.tables)


def test_c39_nothing_of_the_person_is_left_in_any_table(world: World) -> None:
    before = everything(world.database)
    for name in (*store.ERASED, *store.EMPTIED):
        if name != "consent_anchor":  # only after pruning
            assert "lisa" in str(before[name]) or "+393401234567" in str(before[name]) or name == "attempt", name
    erase(world)
    after = everything(world.database)
    left = {name: [row for row in rows if any(c in str(row) for c in CANARIES)] for name, rows in after.items()}
    assert {name: rows for name, rows in left.items() if rows} == {}


def test_c39_the_other_person_keeps_everything(world: World) -> None:
    def of_ben() -> dict[str, list[dict[str, object]]]:
        return {
            name: sorted((row for row in rows if "ben" in str(row) and name != "manifest"), key=str)
            for name, rows in everything(world.database).items()
        }

    before = of_ben()
    erase(world)
    assert of_ben() == before
    assert any("ben" in row["misses"] for row in everything(world.database)["manifest"])


def test_c39_the_equation_holds_and_what_waited_is_cancelled(world: World) -> None:
    with world.database.read() as connection:
        before = equation(connection, world.runs["receipt"])
    receipt = erase(world)
    with world.database.read() as connection:
        after = equation(connection, world.runs["receipt"])
    assert before.holds
    assert after.holds
    assert (after.candidates, after.messages, after.skipped) == (before.candidates, before.messages, before.skipped)
    assert after.decided_skips == before.decided_skips
    assert receipt.cancelled == 2
    assert after.states == {"sent": 2, "scheduled": 1, "ready": 1, "failed": 2, "cancelled": 2}
    assert after.reasons["cancelled", "erased"] == 2


def test_c39_rows_that_stay_have_a_key_of_their_own_that_tells_nothing(world: World) -> None:
    erase(world)
    with world.database.read() as connection:
        messages = connection.execute(sa.select(tables.message).where(tables.message.c.customer_id == "")).all()
        decisions = connection.execute(sa.select(tables.decision).where(tables.decision.c.customer_id == "")).all()
    assert len({row.once for row in messages}) == 4
    assert {row.once for row in messages} < {row.once for row in decisions}
    assert all(row.once.startswith("erased:") and "order" not in row.once for row in decisions)
    assert all(row.context == {} for row in messages)


def test_c33_the_receipt_keeps_the_head_of_the_chain(world: World) -> None:
    with world.database.read() as connection:
        heads = ledger.heads_of(connection, ["lisa"])
    receipt = erase(world)
    assert [(head.n, head.hash) for head in receipt.chains] == [(head.n, head.hash) for head in heads]
    (kept,) = erasing.receipts_of(world.database, world.keyring, "lisa")
    assert kept == receipt
    rotated = Keyring((("k2", b"\x11" * 32), *world.keyring.keys))
    assert erasing.receipts_of(world.database, rotated, "lisa") == (receipt,)
    assert erasing.receipts_of(world.database, world.keyring, "ben") == ()


def test_a_dry_run_counts_the_same_and_keeps_everything(world: World) -> None:
    before = everything(world.database)
    rehearsed = erase(world, dry_run=True)
    assert everything(world.database) == before
    done = erase(world)
    assert (rehearsed.rows, rehearsed.cancelled, rehearsed.blocked) == (done.rows, done.cancelled, done.blocked)


def test_c39_c40_who_is_imported_again_gets_no_marketing(world: World) -> None:
    """The block outlives the person, under every live key: a new customer with the old address has it at once."""
    erase(world)
    stored = {
        channel: profiles.StoredAddress(
            channel=channel, value=LISA[channel], hash=world.keyring.address_hash(channel, LISA[channel])
        )
        for channel in (ChannelName.EMAIL, ChannelName.SMS)
    }
    with world.database.write() as connection:
        profiles.apply(connection, profiles.Update(customer_id="new", addresses=stored), source="import", now=NOW)
    with world.database.read() as connection:
        person = people.load_people(connection, ["new"])["new"]
    assert person.suppressed == {("email", "marketing"), ("sms", "marketing")}


def test_records_merged_into_the_person_go_with_them(world: World) -> None:
    with world.database.write() as connection:
        update = profiles.Update(customer_id="lisa-2", attributes={"first_name": "Lisa"})
        profiles.apply(connection, update, source="import", now=NOW)
    preferences.withdraw(
        world.database,
        customer_id="lisa-2",
        topic="newsletter",
        channel=None,
        evidence=Evidence(source="phone"),
        now=NOW,
    )
    customers.merge(world.database, loser="lisa-2", winner="lisa", by="clerk", now=NOW)
    receipt = erase(world)
    assert len(receipt.chains) == 2
    assert receipt.rows["customer"] == 2
    assert not any("lisa" in str(rows) for rows in everything(world.database).values())


def test_f57_nothing_is_erased_while_a_message_is_being_handed_over(world: World) -> None:
    with world.database.write() as connection:
        busy = sa.update(tables.message).where(
            tables.message.c.customer_id == "lisa", tables.message.c.state == "ready"
        )
        connection.execute(busy.values(state="sending", lease_until=NOW + timedelta(seconds=30)))
    before = everything(world.database)
    with pytest.raises(OutboundError, match=r"erase\.in_flight"):
        erase(world)
    assert everything(world.database) == before


def test_who_is_not_there_cannot_be_erased(world: World) -> None:
    with pytest.raises(OutboundError, match=r"customer\.unknown"):
        erasing.erase(world.database, world.keyring, customer_id="nobody", by="clerk", now=NOW)
