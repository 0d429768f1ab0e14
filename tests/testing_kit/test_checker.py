"""Each invariant of the checker can fail: a record that holds, one thing made wrong, and the violation it names."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from outbound.domain.ids import content_hash
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.checker import Occurrence, Revocation, check
from outbound.testing.ledger import Accepted

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TEXT = "About boots."


def message_row(number: int, **more: Any) -> dict[str, Any]:
    """A message that was sent by e-mail."""
    row = {
        "id": f"m{number}",
        "run_id": "run",
        "rule": "letter",
        "rule_version": "v1",
        "release": "r1",
        "once": "k",
        "customer_id": f"c{number}",
        "step": "",
        "template": "letter",
        "topic": "letters",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email,sms",
        "context": {},
        "not_before": NOW,
        "expires": NOW + timedelta(hours=48),
        "on_uncertain": "hold",
        "state": "sent",
        "leg": 1,
        "message_id": f"<m{number}@shop.example>",
        "body_hash": "h",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return {**row, **more}


def leg_row(number: int, n: int = 1, channel: str = "email", **more: Any) -> dict[str, Any]:
    address = f"c{number}@example.org" if channel == "email" else f"+3934000000{number}"
    shared = {"customer_id": f"c{number}", "address": address, "at": NOW}
    return {
        "message_id": f"m{number}",
        "n": n,
        "channel": channel,
        "provider_ref": "",
        "moved_on": "",
        **shared,
        **more,
    }


def attempt_row(number: int, leg: int = 1, outcome: str = "accepted") -> dict[str, Any]:
    shared = {"lease_token": leg, "phase": "replied", "outcome": outcome, "started_at": NOW}
    return {"id": f"m{number}.{leg}", "message_id": f"m{number}", "leg": leg, "n": 1, **shared}


def mailed(number: int) -> Accepted:
    reference, recipient = f"<m{number}@shop.example>", f"c{number}@example.org"
    return Accepted(reference=reference, recipient=recipient, sha256="h", size=1, time=0.0, facts={})


def texted(number: int, reference: str = "SM1") -> Accepted:
    sha256 = content_hash(TEXT.encode())
    return Accepted(reference=reference, recipient=f"+3934000000{number}", sha256=sha256, size=1, time=0.0, facts={})


RUN = {
    "id": "run",
    "rule": "letter",
    "slot": "k",
    "release": "r1",
    "rule_version": "v1",
    "trigger": "script",
    "started_at": NOW,
    "candidates": 3,
    "skipped": 1,
}
LEDGER = [mailed(1), texted(2)]


@pytest.fixture
def record(database: Database) -> Database:
    """One mail that was sent, one text whose answer was lost after its mail had bounced, and one skipped candidate."""
    with database.write() as connection:
        connection.execute(tables.run.insert(), RUN)
        text = {"state": "uncertain", "leg": 2, "body_hash": content_hash(TEXT.encode())}
        connection.execute(tables.message.insert(), [message_row(1), message_row(2, **text)])
        legs = [leg_row(1), leg_row(2, moved_on="bounced"), leg_row(2, 2, "sms")]
        connection.execute(tables.leg.insert(), legs)
        tries = [attempt_row(1), attempt_row(2, outcome="rejected_recipient"), attempt_row(2, 2, "uncertain")]
        connection.execute(tables.attempt.insert(), tries)
        skipped = {"rule": "letter", "once": "k", "customer_id": "c9", "step": "", "run_id": "run", "release": "r1"}
        connection.execute(
            tables.decision.insert(),
            {**skipped, "rule_version": "v1", "verdict": "skip", "reason": "consent", "at": NOW},
        )
    return database


def broken(database: Database, accepted: list[Accepted] | None = None, **more: Any) -> set[str]:
    """The invariants that do not hold."""
    return {found.invariant for found in check(database, LEDGER if accepted is None else accepted, **more)}


def change(database: Database, statement: sa.Executable, *rows: Any) -> None:
    with database.write() as connection:
        connection.execute(statement, *rows)


def test_a_record_that_holds_has_no_violation(record: Database) -> None:
    everybody = [Occurrence(rule="letter", once="k", customer_id=f"c{n}") for n in (1, 2, 9)]
    nobody = [Occurrence(rule="letter", once="k", customer_id="c9")]  # decided, but without a message
    assert check(record, LEDGER, acknowledged=["m1", *everybody], refused=["m9", *nobody], lease_now=NOW) == ()


@pytest.mark.parametrize("lost", ["m9", Occurrence(rule="letter", once="k2", customer_id="c1")])
def test_i1_finds_what_was_acknowledged_and_is_not_there(record: Database, lost: str | Occurrence) -> None:
    assert broken(record, acknowledged=["m1", lost]) == {"I1"}


def test_i1_finds_a_revocation_that_was_confirmed_and_is_not_there(record: Database) -> None:
    assert broken(record, revoked=[Revocation(customer_id="c8", topic="letters", heard_at=NOW)]) == {"I1"}


def test_i2_finds_two_copies_of_one_leg(record: Database) -> None:
    assert broken(record, [*LEDGER, mailed(1)]) == {"I2"}


def test_i2_finds_two_copies_of_a_later_leg_whose_answers_were_lost(record: Database) -> None:
    """Two handovers on two legs are fine, and were for a checker that counted per message; two on one leg are not."""
    assert broken(record, [*LEDGER, mailed(2)]) == set(), "a mail may bounce after its 250"
    assert broken(record, [*LEDGER, texted(2, "SM2")]) == {"I2"}


def test_i2_lets_a_message_of_a_resending_class_go_twice(record: Database) -> None:
    change(record, tables.message.update().values(on_uncertain="resend"))
    assert broken(record, [*LEDGER, mailed(1)]) == set()


def test_i2_finds_a_leg_without_a_reason_on_the_one_before(record: Database) -> None:
    change(record, tables.leg.update().values(moved_on=""))
    assert broken(record) == {"I2"}


def test_i2_finds_a_leg_without_a_leg_before(record: Database) -> None:
    change(record, tables.leg.delete().where(tables.leg.c.message_id == "m2", tables.leg.c.n == 1))
    assert broken(record) == {"I2"}


@pytest.mark.parametrize("state", ["ready", "scheduled", "claimed", "failed", "expired", "cancelled", "skipped"])
def test_i3_finds_what_was_accepted_and_is_not_known_to_be(record: Database, state: str) -> None:
    change(record, tables.message.update().where(tables.message.c.id == "m1").values(state=state))
    assert broken(record) == {"I3"}


@pytest.mark.parametrize("state", ["sent", "uncertain", "closed_unknown", "sending"])
def test_i3_knows_the_states_of_what_was_accepted(record: Database, state: str) -> None:
    change(record, tables.message.update().where(tables.message.c.id == "m1").values(state=state))
    assert broken(record) == set()


def test_i3_finds_what_no_message_knows(record: Database) -> None:
    assert broken(record, [*LEDGER, mailed(7)]) == {"I3"}
    assert broken(record, [*LEDGER, texted(7)]) == {"I3"}


def test_i4_finds_what_is_called_sent_and_no_server_has(record: Database) -> None:
    assert broken(record, [texted(2)]) == {"I4"}


def test_i4_asks_for_the_leg_it_was_sent_on(record: Database) -> None:
    change(record, tables.message.update().where(tables.message.c.id == "m2").values(state="sent"))
    assert broken(record, [mailed(1), mailed(2)]) == {"I4"}


def withdrawn(at: datetime, state: str = "withdrawn") -> dict[str, Any]:
    shared = {"customer_id": "c1", "topic": "letters", "channel": "", "evidence": {}}
    return {"id": f"{state}-{at}", "state": state, "at": at, "recorded_at": at, **shared}


def test_i5_finds_a_gate_after_a_withdrawal_in_the_record(record: Database) -> None:
    change(record, tables.consent_event.insert(), withdrawn(NOW - MINUTE))
    assert broken(record) == {"I5"}
    assert broken(record, commit_within=2 * MINUTE) == set()
    change(record, tables.consent_event.insert(), withdrawn(NOW - MINUTE / 2, "granted"))
    assert broken(record) == set(), "they said yes again before the gate"


def test_i5_finds_a_gate_after_a_revocation_that_somebody_was_told_of(record: Database) -> None:
    """By what was told: the record's own date of it does not matter."""
    change(record, tables.consent_event.insert(), withdrawn(NOW - MINUTE))
    told = Revocation(customer_id="c1", topic="letters", heard_at=NOW - MINUTE / 2)
    assert broken(record, revoked=[told], commit_within=2 * MINUTE) == {"I5"}
    later = Revocation(customer_id="c1", topic="letters", heard_at=NOW + MINUTE)
    assert broken(record, revoked=[later], commit_within=2 * MINUTE) == set()


def test_i5_finds_an_answer_that_was_lost_as_well(record: Database) -> None:
    """The text of c2 is uncertain in the record; the ledger knows that it was accepted."""
    change(record, tables.consent_event.insert(), {**withdrawn(NOW - MINUTE), "customer_id": "c2"})
    assert broken(record) == {"I5"}
    assert broken(record, [mailed(1)]) == set(), "nobody accepted it"


@pytest.mark.parametrize("scope", ["all", "marketing"])
def test_i5_finds_what_went_to_a_blocked_address(record: Database, scope: str) -> None:
    place = {"customer_id": "c1", "channel": "email", "value": "c1@example.org", "hash": "x", "state": "ok"}
    change(record, tables.address.insert(), {**place, "updated_at": NOW})
    block = {"channel": "email", "hash": "x", "reason": "bounced.hard", "at": NOW - MINUTE}
    change(record, tables.suppression.insert(), {**block, "scope": "service"})
    assert broken(record) == set()
    change(record, tables.suppression.insert(), {**block, "scope": scope})
    assert broken(record) == {"I5"}


@pytest.mark.parametrize("values", [{"candidates": 4}, {"skipped": 0}])
def test_i6_finds_sums_that_do_not_balance(record: Database, values: dict[str, int]) -> None:
    change(record, tables.run.update().values(values))
    assert broken(record) == {"I6"}


def test_i6_finds_a_message_that_is_gone(record: Database) -> None:
    change(record, tables.message.delete().where(tables.message.c.id == "m2"))
    assert "I6" in broken(record)


@pytest.mark.parametrize("state", ["claimed", "sending"])
def test_i7_finds_a_lease_that_nobody_recovered(record: Database, state: str) -> None:
    held = tables.message.update().where(tables.message.c.id == "m2")
    change(record, held.values(state=state, lease_until=NOW - MINUTE))
    assert broken(record, [mailed(1)], lease_now=NOW) == {"I7"}
    change(record, held.values(lease_until=NOW + MINUTE))
    assert broken(record, [mailed(1)], lease_now=NOW) == set()


@pytest.mark.parametrize("kept", ["m1", Occurrence(rule="letter", once="k", customer_id="c1")])
def test_i8_finds_a_message_of_a_request_that_was_refused(record: Database, kept: str | Occurrence) -> None:
    assert broken(record, refused=[kept]) == {"I8"}


def test_i9_finds_an_address_and_a_secret_in_a_log(record: Database, tmp_path: Path) -> None:
    clean, dirty = tmp_path / "a.log", tmp_path / "b.log"
    clean.write_text('{"event": "daemon started"}\n', encoding="utf-8")
    dirty.write_text('{"event": "x"}\n{"to": "zz@example.org", "key": "s3cret"}\n', encoding="utf-8")
    canaries = {"an address": "zz@example", "the key": "s3cret"}
    assert broken(record, logs=[clean], canaries=canaries) == set()
    found = check(record, LEDGER, logs=[clean, dirty], canaries=canaries)
    assert sorted(map(str, found)) == ["I9 b.log:2: carries an address", "I9 b.log:2: carries the key"]
