"""The outbox on both databases: one occurrence one message, leases fence, marks and results are set-wise."""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.message import FINAL_STATES, TRANSITIONS, Lane, Message, MessageState
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.reasons import Reason, ReasonCode
from outbound.storage import outbox, outbox_claims, outbox_gate, outbox_results, tables
from outbound.storage.database import Database, database_now
from outbound.storage.outbox_gate import Begin, Held, Stopped
from outbound.storage.outbox_results import NextLeg, Result

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
S = MessageState
ACCEPTED = Outcome(kind=OutcomeKind.ACCEPTED, code=250, text="ok")


def row(customer: str, **more: Any) -> dict[str, Any]:
    shared = {
        "run_id": "run",
        "rule": "news",
        "rule_version": "v",
        "release": "r",
        "once": "k",
        "customer_id": customer,
    }
    kind = {"template": "news", "topic": "letters", "message_class": "marketing", "lane": "bulk", "priority": 100}
    times = {"not_before": NOW, "expires": NOW + timedelta(hours=1), "created_at": NOW}
    return {"id": new_id(NOW), "channels": ("email", "sms"), "state": "ready", **shared, **kind, **times, **more}


def insert(database: Database, *rows: dict[str, Any]) -> None:
    with database.write() as connection:
        outbox.insert_messages(connection, rows)


def claim(database: Database, worker: str = "w", limit: int = 100, lease: timedelta = LEASE) -> list[Message]:
    with database.write() as connection:
        until = database_now(connection) + lease
        return outbox_claims.claim(connection, Lane.BULK, limit=limit, worker=worker, lease_until=until, now=NOW)


def begin(database: Database, messages: Sequence[Message], leg: int = 1, moved_on: str = "") -> dict[str, str]:
    """Open the attempts; message id to attempt id."""
    ids = {m.id: new_id(NOW) for m in messages}
    begins = [
        Begin(
            message_id=m.id,
            attempt_id=ids[m.id],
            lease_token=m.lease_token,
            leg=leg,
            n=1,
            channel=ChannelName.EMAIL,
            customer_id=m.customer_id,
            address="a@example.com",
            account="smtp",
            release="r1",
            mime_id=f"<{m.id}@shop.example>",
            date=NOW,
            language="en",
            moved_on=moved_on,
        )
        for m in messages
    ]
    with database.write() as connection:
        outbox_gate.begin(connection, begins, now=NOW)
    return ids


def mark(database: Database, *attempts: str) -> frozenset[str]:
    with database.write() as connection:
        return outbox_results.mark_handoff(connection, dict.fromkeys(attempts, "hash"), now=NOW)


def record(database: Database, *results: Result) -> outbox_results.Recorded:
    with database.write() as connection:
        return outbox_results.record(connection, results, now=NOW)


def result(message: Message, attempt: str, state: MessageState = S.SENT, **more: Any) -> Result:
    shared = {"attempt_id": attempt, "message_id": message.id, "leg": 1, "outcome": ACCEPTED, "state": state}
    return Result(**{**shared, **more})


def recover(database: Database, *, after: timedelta = LEASE * 2) -> outbox_claims.Recovery:
    with database.write() as connection:
        lease_now = database_now(connection) + after
        return outbox_claims.recover_expired(
            connection, lease_now=lease_now, now=NOW, resend_delay=timedelta(seconds=5)
        )


def one(database: Database, table: sa.Table = tables.message) -> Any:
    with database.read() as connection:
        return connection.execute(sa.select(table)).one()


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {r.customer_id: r.state for r in connection.execute(sa.select(tables.message))}


# --- birth ---------------------------------------------------------------------------------------------------


def test_one_occurrence_is_one_message(database: Database) -> None:
    """The second insert of the same (rule, once, customer, step) is answered as not inserted (P2)."""
    first, again, other = row("c1"), row("c1"), row("c2")
    with database.write() as connection:
        assert outbox.insert_messages(connection, [first]) == {first["id"]}
        assert outbox.insert_messages(connection, [again, other]) == {other["id"]}
    assert states(database) == {"c1": "ready", "c2": "ready"}


def test_a_message_keeps_what_it_was_given(database: Database) -> None:
    """Context, channels and instants come back as they went in, on both dialects."""
    given = row("c1", context={"customer": {"first_name": "Zoë"}}, local_time="2026-11-24T11:00:00")
    insert(database, given)
    with database.read() as connection:
        found = outbox.by_ids(connection, [given["id"]])[given["id"]]
    assert found.context == {"customer": {"first_name": "Zoë"}}
    assert found.channels == (ChannelName.EMAIL, ChannelName.SMS)
    assert (found.not_before, found.expires, found.local_time) == (NOW, given["expires"], "2026-11-24T11:00:00")


def test_a_message_cannot_be_born_sent(database: Database) -> None:
    with database.write() as connection, pytest.raises(OutboundError) as refused:
        outbox.insert_messages(connection, [row("c1", state="sent")])
    assert refused.value.code == "outbox.state"


# --- states --------------------------------------------------------------------------------------------------


def test_a_move_that_the_diagram_does_not_draw_is_an_error() -> None:
    for source in S:
        for target in S:
            if target in TRANSITIONS[source]:
                outbox.move(target, source)
            else:
                with pytest.raises(OutboundError):
                    outbox.move(target, source)


@given(st.lists(st.sampled_from(sorted(S)), min_size=1, max_size=12))
def test_no_walk_leads_from_an_end_back_into_work_except_by_rearming(walk: list[MessageState]) -> None:
    """Whatever is tried, a cancelled or closed message stays so, and only ``ready`` leads to ``claimed``."""
    state = S.SCHEDULED
    for target in walk:
        try:
            outbox.check_move(state, target)
        except OutboundError:
            continue
        assert state not in (S.CANCELLED, S.CLOSED_UNKNOWN)
        assert target is not S.CLAIMED or state is S.READY
        assert target is not S.SENDING or state is S.CLAIMED
        assert state not in FINAL_STATES or target is S.READY
        state = target


def test_the_drawn_diagram_is_the_code() -> None:
    """docs/states.md and TRANSITIONS are the same set of arrows."""
    text = (Path(__file__).parents[2] / "docs" / "states.md").read_text(encoding="utf-8")
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", text, re.DOTALL)
    assert diagram is not None
    drawn = set(re.findall(r"^\s*(\w+) --> (\w+)", diagram[1], re.MULTILINE))
    coded = {(source.value, target.value) for source, targets in TRANSITIONS.items() for target in targets}
    assert drawn == coded


def test_only_the_outbox_modules_write_a_state() -> None:
    """Every change of message.state goes through ``move``: nothing else in the product sets it."""
    root = Path(outbox.__file__).parents[1]
    guilty = [
        path.name
        for path in root.rglob("*.py")
        if re.search(r"message\.update\(\)[^\n]*\n?[^\n]*values\([^)]*\bstate=", path.read_text(encoding="utf-8"))
    ]
    assert guilty == ["outbox.py"]


# --- claims --------------------------------------------------------------------------------------------------


def test_claims_are_due_ones_in_order(database: Database) -> None:
    """Priority first, then the longest due; what is not due, held or of another lane stays."""
    insert(
        database,
        row("late", not_before=NOW + timedelta(seconds=1)),
        row("held", state="scheduled", reason="quiet_hours"),
        row("express", lane="express"),
        row("low", priority=1, not_before=NOW - timedelta(hours=2)),
        row("old", not_before=NOW - timedelta(minutes=5)),
        row("new"),
        row("high", priority=900),
    )
    assert [m.customer_id for m in claim(database, limit=3)] == ["high", "old", "new"]
    assert [m.customer_id for m in claim(database)] == ["low"]


def test_a_key_range_limits_the_claim(database: Database) -> None:
    insert(database, row("a1"), row("b1"), row("c1"))
    with database.write() as connection:
        until = database_now(connection) + LEASE
        got = outbox_claims.claim(
            connection, Lane.BULK, limit=9, worker="w", lease_until=until, now=NOW, keys=("b", "c")
        )
    assert [m.customer_id for m in got] == ["b1"]


def test_the_claim_reads_its_slice_from_the_index(database: Database) -> None:
    """Partial indexes are used because states are written as literals: a claim costs its slice, not the backlog."""
    query = (
        sa.select(tables.message.c.id)
        .where(outbox.state_is(S.READY), tables.message.c.lane == "bulk", tables.message.c.not_before <= NOW)
        .order_by(tables.message.c.priority.desc(), tables.message.c.not_before)
        .limit(5)
    )
    with database.read() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # it would win on an empty table
        words = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        sql = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(step) for step in connection.exec_driver_sql(f"{words} {sql}"))
    assert "ix_message_due" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


def test_two_claimers_never_share_a_row(database: Database) -> None:
    """F05: four workers claim 400 rows at once; each row goes to one of them."""
    insert(database, *(row(f"c{n}") for n in range(400)))
    taken: list[list[str]] = [[] for _ in range(4)]

    def work(number: int) -> None:
        while got := claim(database, worker=f"w{number}", limit=15):
            taken[number] += [m.id for m in got]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [i for some in taken for i in some]
    assert len(everything) == len(set(everything)) == 400


def test_promotion_makes_due_ones_ready_and_remembers_who_held(database: Database) -> None:
    later = NOW + timedelta(seconds=1)
    insert(
        database,
        row("due", state="scheduled", reason="quiet_hours", held_by="quiet_hours"),
        row("later", state="scheduled", not_before=later),
    )
    with database.write() as connection:
        assert outbox.promote_due(connection, Lane.BULK, now=NOW) == 1
    (found,) = claim(database)
    assert (found.customer_id, found.reason, found.held_by) == ("due", "", "quiet_hours")


# --- the gate's writes ---------------------------------------------------------------------------------------


def test_the_gate_writes_what_it_decided(database: Database) -> None:
    insert(database, row("go"), row("hold"), row("skip"), row("gone"))
    by_name = {m.customer_id: m for m in claim(database)}
    begin(database, [by_name["go"]])
    until = NOW + timedelta(hours=8)
    with database.write() as connection:
        reason = Reason(ReasonCode.QUIET_HOURS, "IT")
        held = Held(message_id=by_name["hold"].id, until=until, reason=reason, held_by="quiet_hours.IT")
        outbox_gate.hold(connection, [held], now=NOW)
        skip = Stopped(message_id=by_name["skip"].id, state=S.SKIPPED, reason=Reason(ReasonCode.CONSENT, "letters"))
        gone = Stopped(message_id=by_name["gone"].id, state=S.CANCELLED, reason=Reason(ReasonCode.ERASED))
        outbox_gate.stop(connection, [skip, gone], now=NOW)
    with database.read() as connection:
        rows = {r.customer_id: r for r in connection.execute(sa.select(tables.message))}
        leg = connection.execute(sa.select(tables.leg)).one()
        attempt = connection.execute(sa.select(tables.attempt)).one()
    assert (rows["go"].state, rows["go"].release, rows["go"].date) == ("sending", "r1", NOW)
    assert (rows["hold"].state, rows["hold"].reason, rows["hold"].not_before) == ("scheduled", "quiet_hours", until)
    assert (rows["skip"].state, rows["skip"].reason, rows["skip"].detail) == ("skipped", "consent", "letters")
    assert rows["gone"].state == "cancelled"
    assert (leg.address, leg.channel, attempt.phase, attempt.lease_token) == ("a@example.com", "email", "started", 1)


def test_a_gate_sees_only_what_is_still_its_own(database: Database) -> None:
    """A claim that was recovered and claimed again does not belong to the first worker any more."""
    insert(database, row("c1"))
    (mine,) = claim(database)
    recover(database)
    (theirs,) = claim(database, worker="other")
    with database.write() as connection:
        assert outbox_claims.lock_claimed(connection, {mine.id: mine.lease_token}) == frozenset()
        assert outbox_claims.lock_claimed(connection, {mine.id: theirs.lease_token}) == {mine.id}


# --- handover, results, fencing ------------------------------------------------------------------------------


def test_a_group_is_marked_and_recorded_in_one_go(database: Database) -> None:
    insert(database, *(row(f"c{n}") for n in range(20)))
    messages = claim(database)
    attempts = begin(database, messages)
    assert mark(database, *attempts.values()) == set(attempts.values())
    assert mark(database, *attempts.values()) == frozenset(), "a handover is marked once"
    done = record(database, *(result(m, attempts[m.id]) for m in messages))
    assert done.late == frozenset()
    assert set(states(database).values()) == {"sent"}
    with database.read() as connection:
        phases = set(connection.execute(sa.select(tables.attempt.c.phase, tables.attempt.c.outcome)).all())
        assert phases == {("replied", "accepted")}
        assert connection.execute(sa.select(tables.message.c.sent_at).distinct()).scalars().all() == [NOW]


def test_one_refusal_leaves_the_others_their_results(database: Database) -> None:
    """F10: a 5xx for one of a group moves that one alone."""
    insert(database, row("good"), row("bad"))
    messages = {m.customer_id: m for m in claim(database)}
    attempts = begin(database, list(messages.values()))
    mark(database, *attempts.values())
    no = Outcome(kind=OutcomeKind.REJECTED_RECIPIENT, code=550, enhanced="5.1.1", text="no such user")
    record(
        database,
        result(messages["good"], attempts[messages["good"].id]),
        result(
            messages["bad"],
            attempts[messages["bad"].id],
            S.FAILED,
            outcome=no,
            reason=Reason(ReasonCode.PROVIDER, "rejected_recipient"),
        ),
    )
    assert states(database) == {"good": "sent", "bad": "failed"}


def test_a_zombie_cannot_hand_over(database: Database) -> None:
    """F04: the lease ran out before the mark; the message is recovered, claimed again, and only the new token marks."""
    insert(database, row("c1"))
    (mine,) = claim(database)
    stale = begin(database, [mine])[mine.id]
    assert recover(database).ready == 1
    assert mark(database, stale) == frozenset(), "recovered but not claimed again: still not ours"
    (theirs,) = claim(database, worker="other")
    fresh = begin(database, [theirs])[theirs.id]
    assert mark(database, stale, fresh) == {fresh}


def test_a_zombie_cannot_overwrite(database: Database) -> None:
    """F04: its late result is kept on its own attempt; the message belongs to the new worker."""
    insert(database, row("c1"))
    (mine,) = claim(database)
    stale = begin(database, [mine])[mine.id]
    recover(database)
    (theirs,) = claim(database, worker="other")
    begin(database, [theirs])
    late = record(database, result(mine, stale, S.FAILED, outcome=Outcome(kind=OutcomeKind.REJECTED_POLICY, code=554)))
    assert late.late == {stale}
    assert late.proved == frozenset()
    assert states(database) == {"c1": "sending"}
    with database.read() as connection:
        kept = dict(connection.execute(sa.select(tables.attempt.c.id, tables.attempt.c.outcome)).all())
    assert kept[stale] == "rejected_policy"


def test_late_proof_of_acceptance_ends_an_uncertain_message(database: Database) -> None:
    """The lease ran out while the provider was thinking: its 250 is evidence (uncertain → sent)."""
    insert(database, row("c1"))
    (mine,) = claim(database)
    attempt = begin(database, [mine])[mine.id]
    mark(database, attempt)
    assert recover(database).uncertain == 1
    late = record(database, result(mine, attempt))
    assert (late.late, late.proved) == ({attempt}, {attempt})
    assert (one(database).state, one(database).detail) == ("sent", "late_evidence")


def test_recovery_tells_unsent_from_unknown(database: Database) -> None:
    """K9: no attempt or ``started`` is provably unsent; ``handoff`` is uncertain; a live lease is left alone."""
    insert(database, row("claimed"), row("started"), row("handed"))
    messages = {m.customer_id: m for m in claim(database)}
    attempts = begin(database, [messages["started"], messages["handed"]])
    mark(database, attempts[messages["handed"].id])
    assert recover(database, after=timedelta(0)) == outbox_claims.Recovery()
    assert recover(database) == outbox_claims.Recovery(ready=2, uncertain=1)
    assert states(database) == {"claimed": "ready", "started": "ready", "handed": "uncertain"}
    assert recover(database) == outbox_claims.Recovery(), "recovering twice changes nothing"
    with database.read() as connection:
        outcomes = dict(connection.execute(sa.select(tables.attempt.c.phase, tables.attempt.c.outcome)).all())
    assert outcomes == {"started": "not_sent", "handoff": "uncertain"}


def test_only_a_class_that_says_so_is_sent_again_after_an_unknown_outcome(database: Database) -> None:
    """P4: ``on_uncertain: resend`` goes back to ready, ``hold`` stays uncertain."""
    insert(database, row("hold"), row("resend", on_uncertain="resend"))
    messages = claim(database)
    mark(database, *begin(database, messages).values())
    recover(database)
    assert states(database) == {"hold": "uncertain", "resend": "ready"}


def test_a_renewed_lease_is_not_recovered(database: Database) -> None:
    insert(database, row("kept"), row("lost"))
    tokens = {m.id: m.lease_token for m in claim(database) if m.customer_id == "kept"}
    with database.write() as connection:
        until = database_now(connection) + LEASE * 10
        assert outbox_claims.renew(connection, tokens, lease_until=until) == 1
        assert outbox_claims.renew(connection, dict.fromkeys(tokens, 99), lease_until=until) == 0
    assert recover(database).ready == 1
    assert states(database) == {"kept": "claimed", "lost": "ready"}


def test_giving_back_never_gives_back_what_may_be_on_the_wire(database: Database) -> None:
    insert(database, row("claimed"), row("started"), row("handed"))
    messages = {m.customer_id: m for m in claim(database)}
    attempts = begin(database, [messages["started"], messages["handed"]])
    mark(database, attempts[messages["handed"].id])
    with database.write() as connection:
        tokens = {m.id: m.lease_token for m in messages.values()}
        assert outbox_claims.give_back(connection, tokens, now=NOW) == 2
    assert states(database) == {"claimed": "ready", "started": "ready", "handed": "sending"}


def test_a_bounce_opens_the_next_leg_with_its_reason(database: Database) -> None:
    """Leg 2 and why leg 1 was left are one transaction; the message is ready again with fresh bytes to fix."""
    insert(database, row("c1"))
    (message,) = claim(database)
    attempt = begin(database, [message])[message.id]
    mark(database, attempt)
    bounce = Outcome(kind=OutcomeKind.REJECTED_RECIPIENT, code=550, enhanced="5.1.1")
    onward = NextLeg(channel=ChannelName.SMS, moved_on="bounced")
    record(database, result(message, attempt, S.FAILED, outcome=bounce, next_leg=onward))
    with database.read() as connection:
        legs = connection.execute(sa.select(tables.leg).order_by(tables.leg.c.n)).all()
        past = outbox_gate.past_of(connection, [message.id])[message.id]
    assert [(leg.n, leg.channel, leg.moved_on) for leg in legs] == [(1, "email", "bounced"), (2, "sms", "")]
    assert (one(database).state, one(database).leg, one(database).body_hash) == ("ready", 2, "")
    assert past.tried == (ChannelName.EMAIL,)
    assert past.current is not None
    assert (past.current.n, past.current.attempts) == (2, 0)
