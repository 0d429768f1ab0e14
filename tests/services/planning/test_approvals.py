"""A run over a limit is counted before its first message, waits for a person, and goes or ends as they say."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from planning_kit import add_customer, balance, messages, plan, publish, rows, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.domain.limits import Counted
from outbound.domain.message import Lane, Message
from outbound.services import approvals, sends
from outbound.services.planning import firing, limits
from outbound.services.releases import Active
from outbound.services.reports import equation, run_report
from outbound.services.sends import Recipient, SendReport
from outbound.services.status import status
from outbound.storage import outbox, outbox_claims, run_limits, tables
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.database import Database, database_now
from outbound.storage.run_limits import Standing

PUBLISHED = utc("2026-03-01 00:00")
BEFORE = utc("2026-03-08 08:35")
"""Sunday 8 March 2026: 25 minutes before 10:00 in Rome, six hours before 10:00 in New York."""
SLOT = utc("2026-03-08 09:00")
PEOPLE = int(os.environ.get("OUTBOUND_TEST_PEOPLE", "10000"))


def news(limits: str, *, send: str = "channels: [email, sms]", every: str = "FREQ=WEEKLY;BYDAY=SU") -> str:
    return f"""
rule: news
owner: crm@shop.example
topic: newsletter
when: {{schedule: {every}, at: "10:00", tz: customer}}
catch_up: 24h
limits: {{{limits}}}
send: {{template: plain, {send}}}
"""


NOTICE = """
rule: notice
owner: ops@shop.example
topic: notices
when: {script: {}}
limits: {recipients: 2}
send: {template: plain, channels: [email, sms]}
"""


def seed(database: Database, count: int, *, country: str = "IT", first: int = 0) -> list[str]:
    """Customers with an address and consent, set-wise: a hundred thousand take seconds."""
    ids = [f"c-{number:06}" for number in range(first, first + count)]
    with database.write() as connection:
        at = instant_writer(connection)(PUBLISHED)
        insert_ignore(
            connection,
            tables.customer,
            ("id", "country", "zone_source", "attributes", "created_at", "updated_at"),
            ((i, country, f"country:{country}", "{}", at, at) for i in ids),
        )
        insert_ignore(
            connection,
            tables.address,
            ("customer_id", "channel", "value", "hash", "state", "updated_at"),
            ((i, "email", f"{i}@example.com", f"hash-{i}", "ok", at) for i in ids),
        )
        insert_ignore(
            connection,
            tables.consent,
            ("customer_id", "topic", "channel", "state", "at", "event_id"),
            ((i, "newsletter", "", "granted", at, f"consent-{i}") for i in ids),
        )
        insert_ignore(
            connection,
            tables.consent_event,
            ("id", "customer_id", "topic", "channel", "state", "at", "recorded_at", "evidence"),
            ((f"consent-{i}", i, "newsletter", "", "granted", at, at, json_text({"source": "test"})) for i in ids),
        )
    return ids


def the_run(database: Database, rule: str = "news") -> Standing:
    """The newest run of a rule."""
    run = tables.run
    with database.read() as connection:
        newest = sa.select(run.c.id).where(run.c.rule == rule).order_by(run.c.started_at.desc(), run.c.slot.desc())
        found = run_limits.standing(connection, connection.execute(newest.limit(1)).scalar_one())
    assert found is not None
    return found


def held(database: Database) -> Counter[tuple[str, str, str]]:
    return Counter((row.state, row.reason, row.detail) for row in rows(database, tables.message))


def claim(database: Database, now: datetime) -> list[Message]:
    """What a daemon would take now."""
    with database.write() as connection:
        outbox.promote_due(connection, Lane.BULK, now=now)
        until = database_now(connection) + timedelta(seconds=30)
        return outbox_claims.claim(connection, Lane.BULK, limit=1000, worker="w", lease_until=until, now=now)


def approve(database: Database, active: Active, count: int, *, now: datetime = BEFORE, by: str = "mia") -> Any:
    return approvals.approve(database, active, the_run(database).id, count=count, by=by, now=now)


@pytest.fixture
def italians(database: Database) -> list[str]:
    return seed(database, 5)


def test_f52_a_rule_that_matches_everyone_asks_before_the_first_message(database: Database) -> None:
    """Fault F52, blast radius: many more people than a limit allows (100,000 with OUTBOUND_TEST_PEOPLE=100000).

    Nothing can leave, the count of the whole run is what a person is shown, and only that very number lets it go.
    """
    most, italians = PEOPLE * 6 // 10, PEOPLE * 7 // 10
    active = publish(database, rule_files(news(f"recipients: {most}, cost: EUR 90")), PUBLISHED)
    seed(database, italians)
    seed(database, PEOPLE - italians, country="US", first=italians)
    plan(database, active, BEFORE)
    run = the_run(database)
    assert (run.limited, run.text) == ("recipients", f"{PEOPLE:,} recipients > {most:,}")
    assert run.counted == Counted(messages=PEOPLE, cost=PEOPLE * 400, channels={"email": (PEOPLE, PEOPLE * 400)})
    assert run.messages == italians  # New York is still to come
    assert claim(database, SLOT + timedelta(hours=1)) == []
    for wrong in (italians, PEOPLE - 1, 0):
        with pytest.raises(OutboundError, match=f"has {PEOPLE:,} messages") as refused:
            approve(database, active, wrong)
        assert refused.value.code == "approve.count"
    assert the_run(database).waits
    done = approve(database, active, PEOPLE)
    assert (done.messages, done.run.limited, done.run.decided_by) == (italians, "", "mia")
    with database.read() as connection:
        assert equation(connection, run.id).holds


def test_every_zone_is_counted_when_the_first_is_planned_and_nothing_leaves(
    database: Database, italians: list[str]
) -> None:
    """One count over all zones before the first message, although New York is planned six hours later."""
    active = publish(database, rule_files(news("recipients: 6")), PUBLISHED)
    seed(database, 3, country="US", first=100)
    plan(database, active, BEFORE)
    run = the_run(database)
    assert (run.limited, run.text, run.messages) == ("recipients", "8 recipients > 6", 5)
    assert held(database) == {("scheduled", "limits", "recipients"): 5}
    [row] = {(row.not_before, row.expires, row.local_time, row.held_by) for row in rows(database, tables.message)}
    assert row[0] == row[1] - timedelta(minutes=1)  # nobody looks before
    assert row[2:] == ("2026-03-08T10:00", "limits.recipients")
    plan(database, active, utc("2026-03-08 13:45"))
    assert held(database) == {("scheduled", "limits", "recipients"): 8}
    assert list(balance(database)) == [(8, 0, 8)]
    assert {row.verdict for row in rows(database, tables.decision)} == {"hold"}
    assert len(italians) == 5


def test_within_its_limits_a_run_is_counted_and_goes(database: Database, italians: list[str]) -> None:
    active = publish(database, rule_files(news("recipients: 5, cost: EUR 0.002")), PUBLISHED)
    plan(database, active, BEFORE)
    run = the_run(database)
    assert (run.limited, run.text, run.approved) == ("", "", None)
    assert run.counted == Counted(messages=5, cost=2_000, channels={"email": (5, 2_000)})
    assert (run.cost, run.currency) == (2_000, "EUR")
    assert {row.not_before for row in messages(database).values()} == {SLOT}
    with pytest.raises(OutboundError) as refused:
        approve(database, active, len(italians))
    assert refused.value.code == "approve.unlimited"


def test_the_cost_limit_counts_each_channel_in_its_country(database: Database) -> None:
    """Two mails and one SMS, which by its template's sample takes two segments, cost EUR 0.1408."""
    active = publish(database, rule_files(news("cost: EUR 0.06")), PUBLISHED)
    add_customer(database, "ada")
    add_customer(database, "bob")
    add_customer(database, "cy", email=None, phone="+393331234567")
    plan(database, active, BEFORE)
    run = the_run(database)
    assert (run.limited, run.text) == ("cost", "EUR 0.14 > EUR 0.06")
    assert run.counted is not None
    assert run.counted.channels == {"email": (2, 800), "sms": (1, 140_000)}


def weeks(database: Database, active: Active, sizes: Sequence[int]) -> None:
    """A run each Sunday from 8 February on, all sent, of ``sizes`` messages."""
    with database.write() as connection:
        for number, size in enumerate(sizes):
            at = utc("2026-01-04 09:00") + timedelta(weeks=number)
            connection.execute(
                tables.run.insert(),
                {
                    "id": f"past-{number}",
                    "rule": "news",
                    "slot": f"past-{number}",
                    "release": active.id,
                    "rule_version": "v",
                    "trigger": "schedule",
                    "started_at": at,
                    "candidates": size + 2,
                    "skipped": 2,
                },
            )


@pytest.mark.parametrize(
    ("sizes", "limited"),
    [([2, 4, 3], ""), ([2, 2, 2, 2], "growth"), ([900, 2, 4, 4, 3], ""), ([1, 1, 1, 4, 4, 4, 4], "")],
)
def test_growth_is_measured_against_the_last_four_runs(
    database: Database, italians: list[str], sizes: list[int], limited: str
) -> None:
    """Five messages with ``growth: 50%``: not before there are four runs, and against the median of the newest four."""
    active = publish(database, rule_files(news("growth: 50%")), PUBLISHED)
    weeks(database, active, sizes)
    plan(database, active, BEFORE)
    assert the_run(database).limited == limited
    assert len(italians) == 5


def test_unfinished_and_stopped_runs_are_no_measure(database: Database, italians: list[str]) -> None:
    """A run that still waits, or was rejected, says nothing about the usual size."""
    active = publish(database, rule_files(news("growth: 50%")), PUBLISHED)
    weeks(database, active, [2, 2, 2, 2])
    run = tables.run
    with database.write() as connection:
        connection.execute(run.update().where(run.c.id == "past-1").values(limited="rejected"))
    plan(database, active, BEFORE)
    assert the_run(database).limited == ""
    assert len(italians) == 5


def test_a_date_rule_is_counted_over_its_zones_too(database: Database) -> None:
    birthday = """
rule: birthday
owner: crm@shop.example
topic: newsletter
when: {date: customer.birth_date, every: year, at: "10:00", tz: customer, feb29: feb28}
limits: {recipients: 2}
send: {template: plain, channels: [email]}
"""
    active = publish(database, rule_files(birthday), PUBLISHED)
    for name, country in (("ada", "IT"), ("bob", "US"), ("cy", "US")):
        add_customer(database, name, country=country, attributes={"birth_date": "1990-03-08"})
    add_customer(database, "dan", attributes={"birth_date": "1990-03-09"})
    plan(database, active, BEFORE)
    assert the_run(database, "birthday").text == "3 recipients > 2"
    assert held(database) == {("scheduled", "limits", "recipients"): 1}


def test_a_run_that_grows_past_its_limit_between_two_zones_is_stopped(database: Database, italians: list[str]) -> None:
    """New York had nobody in the morning and too many in the afternoon: what is still queued stops as well."""
    active = publish(database, rule_files(news("recipients: 6")), PUBLISHED)
    add_customer(database, "early", country="US")
    plan(database, active, BEFORE)
    assert not the_run(database).limited
    seed(database, 3, country="US", first=100)
    plan(database, active, utc("2026-03-08 13:45"))
    run = the_run(database)
    assert (run.limited, run.text) == ("recipients", "9 recipients > 6")
    with database.read() as connection:
        assert run_limits.limited(connection) == {run.id: "recipients"}  # what the gate asks
    assert len(italians) == 5


def test_a_run_stopped_on_its_way_is_asked_about_as_a_whole(
    database: Database, italians: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ranges of two: the third passes the limit, and the person is told of all nine, not of six."""
    monkeypatch.setattr(firing, "RANGE", 2)
    active = publish(database, rule_files(news("recipients: 5")), PUBLISHED)
    plan(database, active, BEFORE)
    seed(database, 4, country="US", first=100)
    plan(database, active, utc("2026-03-08 13:45"))
    run = the_run(database)
    assert (run.text, run.whole.messages) == ("9 recipients > 5", 9)
    assert run.whole.channels == {"email": (9, 3_600)}
    assert len(italians) == 5


def test_an_approval_lets_go_what_was_seen_and_one_more_asks_again(database: Database, italians: list[str]) -> None:
    """Later zones join an approved run up to the number that somebody agreed to."""
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    seed(database, 2, country="US", first=100)
    plan(database, active, BEFORE)
    done = approve(database, active, 7)
    assert (done.messages, done.finished) == (5, False)
    assert held(database) == {("scheduled", "", ""): 5}
    assert {row.not_before for row in rows(database, tables.message)} == {SLOT}  # their own time, not at once
    add_customer(database, "late", country="US")
    plan(database, active, utc("2026-03-08 13:45"))
    run = the_run(database)
    assert (run.limited, run.text) == ("recipients", "8 recipients > 7")
    assert run.approved == Counted(messages=7, cost=2_800)
    again = approve(database, active, 8, now=utc("2026-03-08 13:50"), by="leo")
    assert (again.run.limited, again.run.decided_by) == ("", "leo")
    assert list(balance(database)) == [(8, 0, 8)]
    assert len(italians) == 5


def gaps(found: Sequence[datetime]) -> set[timedelta]:
    return {later - earlier for earlier, later in pairwise(sorted(found))}


def test_approved_late_the_messages_are_spread_anew_and_never_burst(database: Database) -> None:
    """60 an hour: approved three hours late they leave a minute apart from then on."""
    active = publish(database, rule_files(news("recipients: 4", send="channels: [email], pace: 60/h")), PUBLISHED)
    seed(database, 6)
    plan(database, active, BEFORE)
    late = utc("2026-03-08 12:00")
    approve(database, active, 6, now=late)
    times = [row.not_before for row in rows(database, tables.message)]
    assert min(times) == late
    assert gaps(times) == {timedelta(minutes=1)}


def test_approved_at_night_they_wait_for_the_morning_and_keep_the_pace(database: Database) -> None:
    """22:30 in Rome is quiet until 08:00: spread from the opening of the window, with the reason that holds them."""
    active = publish(database, rule_files(news("recipients: 4", send="channels: [email], pace: 60/h")), PUBLISHED)
    seed(database, 6)
    plan(database, active, BEFORE)
    approve(database, active, 6, now=utc("2026-03-08 21:30"))
    times = [row.not_before for row in rows(database, tables.message)]
    assert min(times) == utc("2026-03-09 07:00")
    assert gaps(times) == {timedelta(minutes=1)}
    assert all(key[:2] == ("scheduled", "quiet_hours") for key in held(database))


def test_an_approval_that_dies_is_finished_by_the_same_call(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the word and the first batch: nothing is lost, nothing goes twice, the pace goes on behind."""
    active = publish(database, rule_files(news("recipients: 4", send="channels: [email], pace: 60/h")), PUBLISHED)
    seed(database, 6)
    plan(database, active, BEFORE)
    monkeypatch.setattr(approvals, "BATCH", 2)
    real, calls = run_limits.release, iter((True, False))

    def dies(*words: Any, **names: Any) -> int:
        if next(calls):
            return real(*words, **names)
        raise KeyboardInterrupt

    monkeypatch.setattr(run_limits, "release", dies)
    with pytest.raises(KeyboardInterrupt):
        approve(database, active, 6)
    monkeypatch.setattr(run_limits, "release", real)
    assert held(database) == {("scheduled", "limits", "recipients"): 4, ("scheduled", "", ""): 2}
    [left] = status(database, now=BEFORE).interrupted
    assert left.name == the_run(database).name
    again = approve(database, active, 6)
    assert (again.messages, again.finished) == (4, True)
    assert gaps([row.not_before for row in rows(database, tables.message)]) == {timedelta(minutes=1)}
    with pytest.raises(OutboundError) as refused:
        approve(database, active, 6)
    assert refused.value.code == "approve.approved"


def test_a_rejected_run_is_cancelled_and_what_is_still_planned_of_it_is_skipped(
    database: Database, italians: list[str]
) -> None:
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    seed(database, 2, country="US", first=100)
    plan(database, active, BEFORE)
    done = approvals.reject(database, the_run(database).id, by="mia", now=BEFORE)
    assert (done.messages, done.rejected, done.run.limited) == (5, True, "rejected")
    plan(database, active, utc("2026-03-08 13:45"))
    assert held(database) == {("cancelled", "limits", "rejected"): 5}
    assert list(balance(database)) == [(7, 2, 5)]
    with pytest.raises(OutboundError) as refused:
        approve(database, active, 7)
    assert refused.value.code == "approve.rejected"
    assert approvals.reject(database, the_run(database).id, by="leo", now=BEFORE).messages == 0
    assert the_run(database).decided_by == "mia"
    assert status(database, now=BEFORE).limited == ()
    assert len(italians) == 5


def test_what_has_expired_cannot_be_approved(database: Database, italians: list[str]) -> None:
    """A newsletter is worth nothing after its ``expires``: saying yes then would send nothing."""
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    plan(database, active, BEFORE)
    with pytest.raises(OutboundError) as refused:
        approve(database, active, len(italians), now=SLOT + timedelta(days=3))
    assert refused.value.code == "approve.expired"


def test_a_run_whose_messages_are_all_over_can_only_be_closed(database: Database, italians: list[str]) -> None:
    """The daemon has let them expire: nothing waits for a yes any more, and a no ends the asking."""
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    plan(database, active, BEFORE)
    with database.write() as connection:
        connection.execute(tables.message.update().values(state="expired", reason="expired", detail="limits"))
    later = SLOT + timedelta(days=3)
    with pytest.raises(OutboundError) as refused:
        approve(database, active, len(italians), now=later)
    assert refused.value.code == "approve.expired"
    approvals.reject(database, the_run(database).id, by="leo", now=later)
    assert status(database, now=later).limited == ()


def test_of_two_people_who_approve_at_once_one_is_first(database: Database) -> None:
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    seed(database, 30)
    plan(database, active, BEFORE)
    together = Barrier(2)

    def one(name: str) -> Any:
        together.wait()
        try:
            return approve(database, active, 30, by=name)
        except OutboundError as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(one, ("mia", "leo")))
    done = [answer for answer in answers if not isinstance(answer, str)]
    assert sum(answer.messages for answer in done) == 30
    assert sum(not answer.finished for answer in done) == 1
    assert held(database) == {("scheduled", "", ""): 30}


def test_planning_a_stopped_run_again_changes_nothing(database: Database, italians: list[str]) -> None:
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    plan(database, active, BEFORE)
    before = rows(database, tables.run), rows(database, tables.message)
    with database.write() as connection:
        connection.execute(tables.firing.delete())
        connection.execute(tables.manifest.delete())
    plan(database, active, BEFORE)
    assert (rows(database, tables.run), rows(database, tables.message)) == before
    assert len(italians) == 5


@pytest.fixture
def sending(database: Database) -> Any:
    active = publish(database, rule_files(NOTICE), PUBLISHED)

    def send(ids: Sequence[str], **more: Any) -> SendReport:
        values: dict[str, Any] = {"rule": "notice", "arguments": {}, "key": "k", "by": "mia", "now": BEFORE, **more}
        return sends.send(database, active, recipients=[Recipient(customer_id=one) for one in ids], **values)

    return send, active


def test_a_send_over_its_limit_waits_and_says_so(database: Database, italians: list[str], sending: Any) -> None:
    """Counted over all recipients before the first message; the dry run says the same and writes nothing."""
    send, active = sending
    rehearsal = send(italians, dry_run=True)
    assert (rehearsal.limited, rehearsal.exceeded) == ("recipients", "5 recipients > 2")
    assert rows(database, tables.message) == rows(database, tables.run) == []
    report = send(italians)
    assert (report.limited, report.exceeded, report.new) == ("recipients", "5 recipients > 2", 5)
    assert report.counts.cost == 2_000
    assert held(database) == {("scheduled", "limits", "recipients"): 5}
    again = send(italians)
    assert (again.limited, again.new) == ("recipients", 0)
    approvals.approve(database, active, report.run_id, count=5, by="mia", now=BEFORE)
    assert {row.not_before for row in rows(database, tables.message)} == {BEFORE}
    assert (send(italians).limited, send(italians[:1], key="other").limited) == ("", "")


def test_adding_to_a_send_counts_what_it_has_already(database: Database, italians: list[str], sending: Any) -> None:
    """Two, and one more with --extend: three are too many, and the two that are queued stop as well."""
    send, _ = sending
    assert send(italians[:2]).limited == ""
    more = send(italians[:3], extend=True)
    assert (more.limited, more.exceeded) == ("recipients", "3 recipients > 2")
    assert held(database) == {("ready", "", ""): 2, ("scheduled", "limits", "recipients"): 1}
    with database.read() as connection:
        assert run_limits.limited(connection) == {more.run_id: "recipients"}


def test_the_report_and_the_status_name_the_run_that_waits(database: Database, italians: list[str]) -> None:
    active = publish(database, rule_files(news("recipients: 4")), PUBLISHED)
    plan(database, active, BEFORE)
    run = the_run(database)
    assert [one.id for one in status(database, now=BEFORE).limited] == [run.id]
    approve(database, active, len(italians))
    assert status(database, now=BEFORE).limited == ()
    with database.read() as connection:
        report = run_report(connection, run.id, now=BEFORE)
    assert report.limits.approved == Counted(messages=5, cost=2_000)
    assert (report.limits.text, report.costs.planned) == ("5 recipients > 4", {"EUR": 2_000})


def test_sums_of_two_parts_of_a_run() -> None:
    one = Counted(messages=2, cost=5, channels={"email": (2, 5)})
    other = Counted(messages=3, cost=7, channels={"email": (1, 2), "sms": (2, 5)})
    assert limits.together(one, other) == Counted(messages=5, cost=12, channels={"email": (3, 7), "sms": (2, 5)})
